"""API keys over HTTP: who may make, see, replace and end which."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from ci_common.access import Role, Scope
from ci_common.api_keys import digest_of, is_whole
from ci_common.clock import Moment, SystemClock
from ci_server import api_keys
from ci_server.authentication import KeyCredentials
from tests.contract.http_harness import PROJECT, passing, running_server
from tests.contract.people import People, key_id, now

API = "/api/v1/keys"
DAY = 86_400.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("keys"), passing, max_key_age="90d") as running:
        people = People(running)
        people.organisation("acme")
        people.organisation("beta")
        people.user("root", server_admin=True)
        people.user("ada", {"acme": Role.MEMBER, "beta": Role.VIEWER})
        people.user("bob", {"acme": Role.ADMIN})
        yield running


@pytest.fixture(scope="module")
def people(server):
    return People(server)


@pytest.fixture
def ada(people):
    return people.key("ada")


def post(server, path: str, headers, **document) -> httpx2.Response:
    return httpx2.post(server.url + path, headers=headers, json=document, timeout=60)


def make(server, headers, **document) -> dict:
    answer = post(server, API, headers, **{"name": "made"} | document)
    assert answer.status_code == 201, answer.text
    return answer.json()


def showing(made: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['key']}"}


def problem(answer: httpx2.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()["detail"]


def whoami(server, headers) -> dict:
    answer = server.get("/api/v1/whoami", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def clock(server, monkeypatch):
    """Moves the time in which keys are good, and are made."""

    class Later:
        by = timedelta()

        def now(self) -> Moment:
            present = SystemClock().now()
            return Moment(present.wall + self.by, present.uptime, present.boot_id)

    later = Later()
    (credentials,) = (
        each for each in server.parts.authentication._credentials
        if isinstance(each, KeyCredentials)
    )  # fmt: skip
    monkeypatch.setattr(credentials, "_clock", later)
    monkeypatch.setattr(type(server.parts.api_keys), "clock", later, raising=False)
    return later


class TestMaking:
    def test_a_key_is_shown_once_and_only_its_digest_is_kept(self, server, ada):
        made = make(server, ada, name="laptop")
        secret = made["key"]
        assert is_whole(secret)
        seen = server.get(f"{API}/{made['id']}", headers=ada).json()
        assert seen == {name: value for name, value in made.items() if name != "key"}
        assert seen == {
            "id": made["id"], "name": "laptop", "hint": secret[:8], "user": "ada",
            "scopes": ["read", "submit"], "organisation": None, "state": "active",
            "created_at": seen["created_at"], "expires_at": seen["expires_at"],
            "last_used_at": None, "revoked_at": None, "replaced_by": None,
        }  # fmt: skip
        on_disk = b"".join(path.read_bytes() for path in server.settings.db_path.parent.glob("ci*"))
        assert secret[8:].encode() not in on_disk
        assert digest_of(secret) in on_disk

    def test_it_does_what_its_scopes_say_and_no_more(self, server, ada):
        reads = showing(make(server, ada, scopes=["read"]))
        assert server.get("/jobs", headers=reads).status_code == 200
        assert server.post("/submit-async", PROJECT, headers=reads).status_code == 403
        submits = showing(make(server, ada, organisation="acme"))
        assert server.post("/submit-async", PROJECT, headers=submits).status_code == 200
        used = server.get(API, headers=ada).json()
        assert used[0]["organisation"] == "acme"
        assert used[0]["last_used_at"] is not None

    @pytest.mark.parametrize("scopes", [["read"], ["submit"], ["read", "submit"]])
    def test_without_the_scope_admin_no_key_manages_keys(self, server, people, ada, scopes):
        weak = people.key("ada", scopes=[Scope(each) for each in scopes])
        for answer in (
            post(server, API, weak, name="x", scopes=scopes),
            server.get(API, headers=weak),
            server.get(f"{API}/{key_id(ada['Authorization'])}", headers=weak),
            server.delete(f"{API}/{key_id(weak['Authorization'])}", headers=weak),
            post(server, f"{API}/{key_id(weak['Authorization'])}/rotate", weak),
        ):
            assert "admin" in problem(answer, 403, "permission_denied")

    def test_a_key_makes_none_with_a_scope_that_it_lacks(self, server, people):
        admin_only = people.key("ada", scopes=[Scope.ADMIN])
        answer = post(server, API, admin_only, name="x", scopes=["admin", "submit"])
        assert "`submit`" in problem(answer, 403, "permission_denied")
        assert make(server, admin_only, scopes=["admin"])["scopes"] == ["admin"]

    def test_a_key_of_one_organisation_makes_none_for_others(self, server, people):
        of_acme = people.key("ada", organisation="acme")
        for wider in ({}, {"organisation": "beta"}):
            answer = post(server, API, of_acme, name="x", **wider)
            assert "one organisation" in problem(answer, 403, "permission_denied")
        made = make(server, of_acme, organisation="acme")
        assert made["organisation"] == "acme"
        assert whoami(server, showing(made))["organisations"] == [
            {"organisation": "acme", "role": "member"}
        ]

    def test_nor_one_that_would_be_good_for_others_later(self, server, people):
        of_acme = people.key("bob", organisation="acme")  # the only one that bob is in
        answer = post(server, API, of_acme, name="x")
        assert "one organisation" in problem(answer, 403, "permission_denied")
        everywhere = key_id(people.key("bob")["Authorization"])
        problem(post(server, f"{API}/{everywhere}/rotate", of_acme), 403, "permission_denied")
        assert make(server, of_acme, organisation="acme")["organisation"] == "acme"

    def test_a_server_admins_key_of_one_organisation_is_no_server_admin(self, server, people):
        narrow = people.key("root", organisation="acme")
        for wider in ({}, {"organisation": "beta"}):
            problem(post(server, API, narrow, name="x", **wider), 403, "permission_denied")
        problem(post(server, API, narrow, name="x", user="ada"), 404, "user_not_found")
        assert not whoami(server, showing(make(server, narrow, organisation="acme")))[
            "server_admin"
        ]

    @pytest.mark.parametrize("name", ["gamma", "", "acme2"])
    def test_an_organisation_that_the_user_is_not_in_is_not_there(self, server, people, name):
        answer = post(server, API, people.key("bob"), name="x", organisation=name)
        problem(answer, 404, "organisation_not_found")
        others = post(server, API, people.key("bob"), name="x", organisation="beta")
        assert problem(others, 404, "organisation_not_found") == "bob is in no organisation 'beta'"

    def test_how_long_it_lives(self, server, people, ada):
        made = make(server, ada, expires_in=3600)
        assert_lives(made, hours=1)
        assert_lives(make(server, ada), days=90)
        answer = post(server, API, ada, name="x", expires_in=91 * DAY)
        assert "90d at most" in problem(answer, 400, "invalid_request")
        ending = people.key("ada", expires_at=now() + timedelta(hours=2))
        answer = post(server, API, ending, name="x", expires_in=3 * 3600)
        assert "cannot outlive" in problem(answer, 400, "invalid_request")
        assert_lives(make(server, ending), hours=2)
        assert_lives(make(server, ending, expires_in=60), minutes=1)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "x" * 101),
            ("scopes", []),
            ("scopes", ["write"]),
            ("scopes", "read"),
            ("expires_in", 0.5),
            ("expires_in", -1),
            ("expires_in", "90d"),
            ("expires_in", 1e300),
            ("scope", ["read"]),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_name(self, server, ada, field, value):
        answer = post(server, API, ada, **{"name": "x", field: value})
        assert field in problem(answer, 400, "invalid_request")

    def test_one_user_has_so_many(self, server, people, monkeypatch):
        people.user("eve", {"acme": Role.MEMBER})
        eve = people.key("eve")
        monkeypatch.setattr(api_keys, "MOST_KEYS", 2)
        made = make(server, eve)
        assert "2 API keys" in problem(post(server, API, eve, name="x"), 400, "invalid_request")
        server.delete(f"{API}/{made['id']}", headers=eve)
        make(server, eve)


def assert_lives(made: dict, **length: float) -> None:
    created, expires = (
        datetime.fromisoformat(made[name]).astimezone(UTC) for name in ("created_at", "expires_at")
    )
    # What it is made with has been there for a while.
    assert timedelta() <= timedelta(**length) - (expires - created) < timedelta(minutes=1)


class TestOfOthers:
    def test_a_server_admin_manages_the_keys_of_everybody(self, server, people):
        root = people.key("root")
        made = make(server, root, user="ada", scopes=["read"], name="for ada")
        assert whoami(server, showing(made))["user"] == "ada"
        assert made["id"] in [each["id"] for each in listed(server, root, user="ada")]
        replaced = post(server, f"{API}/{made['id']}/rotate", root).json()
        assert whoami(server, showing(replaced))["user"] == "ada"
        server.delete(f"{API}/{replaced['id']}", headers=root)
        assert server.get("/jobs", headers=showing(replaced)).status_code == 401

    def test_for_anybody_else_they_are_not_there(self, server, people, ada):
        bob = people.key("bob")
        hers = key_id(ada["Authorization"])
        for answer in (
            server.get(f"{API}/{hers}", headers=bob),
            server.delete(f"{API}/{hers}", headers=bob),
            post(server, f"{API}/{hers}/rotate", bob),
        ):
            unknown = server.get(f"{API}/key_none", headers=bob).json()["detail"]
            found = problem(answer, 404, "key_not_found")
            assert found.replace(hers, "key_none") == unknown
        for answer in (
            server.get(f"{API}?user=ada", headers=bob),
            post(server, API, bob, name="x", user="ada"),
        ):
            unknown = server.get(f"{API}?user=nobody", headers=bob).json()["detail"]
            assert problem(answer, 404, "user_not_found").replace("ada", "nobody") == unknown
        assert server.get("/jobs", headers=ada).status_code == 200
        assert hers not in [each["id"] for each in listed(server, bob)]


def listed(server, headers, **query) -> list[dict]:
    answer = server.get(API, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestRevoking:
    def test_it_ends_at_once_and_for_good(self, server, ada):
        made = make(server, ada)
        assert server.get("/jobs", headers=showing(made)).status_code == 200
        first = server.delete(f"{API}/{made['id']}", headers=ada)
        assert first.json()["state"] == "revoked"
        problem(server.get("/jobs", headers=showing(made)), 401, "not_signed_in")
        again = server.delete(f"{API}/{made['id']}", headers=ada)
        assert again.json()["revoked_at"] == first.json()["revoked_at"]
        problem(post(server, f"{API}/{made['id']}/rotate", ada), 409, "invalid_transition")
        assert made["id"] not in [each["id"] for each in listed(server, ada)]
        assert made["id"] in [each["id"] for each in listed(server, ada, ended="true")]

    def test_any_key_can_end_itself_and_only_itself(self, server, people, ada):
        weak = people.key("ada", scopes=[Scope.READ])
        ended = server.delete(f"{API}/current", headers=weak)
        assert (ended.status_code, ended.json()["id"]) == (200, key_id(weak["Authorization"]))
        problem(server.get("/jobs", headers=weak), 401, "not_signed_in")
        assert server.get("/jobs", headers=ada).status_code == 200


class TestRotating:
    def test_both_are_good_until_the_overlap_is_over(self, server, ada, clock):
        old = make(server, ada, name="bot", scopes=["read"], organisation="acme")
        new = post(server, f"{API}/{old['id']}/rotate", ada).json()
        same = ("name", "scopes", "organisation", "user")
        assert [new[each] for each in same] == [old[each] for each in same]
        assert new["key"] != old["key"]
        assert_lives(new, days=90)
        before = server.get(f"{API}/{old['id']}", headers=ada).json()
        assert (before["state"], before["replaced_by"]) == ("replaced", new["id"])
        clock.by = timedelta(hours=23, minutes=59)
        assert server.get("/jobs", headers=showing(old)).status_code == 200
        clock.by = timedelta(hours=24, minutes=1)
        problem(server.get("/jobs", headers=showing(old)), 401, "not_signed_in")
        assert server.get("/jobs", headers=showing(new)).status_code == 200
        assert server.get(f"{API}/{old['id']}", headers=ada).json()["state"] == "expired"

    def test_the_overlap_is_as_asked_for_and_never_beyond_its_end(self, server, ada):
        old = make(server, ada, expires_in=3600)
        new = post(server, f"{API}/{old['id']}/rotate", ada, overlap=DAY).json()
        assert_lives(new, hours=1)
        assert (
            server.get(f"{API}/{old['id']}", headers=ada).json()["expires_at"]
            == (old["expires_at"])
        )
        third = post(server, f"{API}/{new['id']}/rotate", ada, overlap=0, expires_in=60).json()
        assert_lives(third, minutes=1)
        problem(server.get("/jobs", headers=showing(new)), 401, "not_signed_in")

    def test_a_key_that_was_replaced_is_not_replaced_again(self, server, ada):
        old = make(server, ada)
        new = post(server, f"{API}/{old['id']}/rotate", ada).json()
        count = len(listed(server, ada))
        answer = post(server, f"{API}/{old['id']}/rotate", ada)
        assert new["id"] in problem(answer, 409, "invalid_transition")
        assert len(listed(server, ada)) == count

    def test_who_is_too_late_leaves_no_key_behind(self, server, ada, monkeypatch):
        old = make(server, ada)
        first = post(server, f"{API}/{old['id']}/rotate", ada).json()
        # As it was when both looked.
        monkeypatch.setattr(api_keys, "_require_rotatable", once_blind(api_keys._require_rotatable))
        problem(post(server, f"{API}/{old['id']}/rotate", ada), 409, "invalid_transition")
        assert listed(server, ada)[0]["id"] == first["id"]

    def test_a_key_replaces_itself_but_none_that_can_do_more(self, server, people):
        itself = people.key("ada", expires_at=now() + timedelta(hours=1))
        new = post(server, f"{API}/{key_id(itself['Authorization'])}/rotate", itself).json()
        assert_lives(new, hours=1)
        lasting = key_id(people.key("ada")["Authorization"])
        other = post(server, f"{API}/{lasting}/rotate", itself).json()
        assert_lives(other, hours=1)
        weak = people.key("ada", scopes=[Scope.ADMIN])
        strong = key_id(people.key("ada")["Authorization"])
        problem(post(server, f"{API}/{strong}/rotate", weak), 403, "permission_denied")
        of_acme = people.key("ada", organisation="acme")
        problem(post(server, f"{API}/{strong}/rotate", of_acme), 403, "permission_denied")


def once_blind(check):
    looked = []

    def look(key, at):
        looked.append(key)
        if len(looked) > 1:
            check(key, at)

    return look


class TestWhoami:
    def test_who_where_and_what(self, server, people):
        end = now() + timedelta(days=30)
        key = people.key("ada", scopes=[Scope.READ], expires_at=end)
        seen = whoami(server, key)
        assert seen.pop("key_expires_at")[:19] == end.isoformat()[:19]
        assert seen == {
            "accounts": True,
            "user": "ada",
            "server_admin": False,
            "organisations": [
                {"organisation": "acme", "role": "member"},
                {"organisation": "beta", "role": "viewer"},
            ],
            "scopes": ["read"],
            "credential": "key",
            "key_id": key_id(key["Authorization"]),
            "key_name": "test",
        }
        assert whoami(server, people.key("root"))["server_admin"]
        problem(server.get("/api/v1/whoami"), 401, "not_signed_in")

    def test_answers_say_when_the_key_ends_if_that_is_soon(self, server, people):
        soon = people.key("ada", expires_at=now() + timedelta(days=6))
        told = server.get("/jobs", headers=soon).headers["ci-key-expires"]
        assert told == whoami(server, soon)["key_expires_at"]
        refused = server.post("/submit-async", PROJECT, headers=soon)
        assert refused.headers["ci-key-expires"] == told
        for quiet in (people.key("ada", expires_at=now() + timedelta(days=8)), people.key("ada")):
            assert "ci-key-expires" not in server.get("/jobs", headers=quiet).headers


def test_a_server_without_accounts_has_no_keys(tmp_path):
    with running_server(tmp_path) as server:
        seen = whoami(server, {})
        assert (seen["accounts"], seen["user"], seen["credential"]) == (False, None, "none")
        assert "no accounts" in problem(post(server, API, {}, name="x"), 403, "permission_denied")
        assert listed(server, {}) == []
        problem(server.get(f"{API}?user=ada"), 403, "permission_denied")
        problem(server.get(f"{API}/key_none"), 404, "key_not_found")
        problem(server.delete(f"{API}/current"), 404, "key_not_found")


def test_what_is_done_to_keys_is_written_down_without_them(server, people):
    root = people.key("root")
    made = make(server, root, user="bob", organisation="acme", name="audited")
    new = post(server, f"{API}/{made['id']}/rotate", root).json()
    server.delete(f"{API}/{new['id']}", headers=root)
    written = server.get("/api/v1/audit?action=key&limit=3", headers=root)
    entries = written.json()
    assert [(each["action"], each["subject"]) for each in reversed(entries)] == [
        ("key.add", f"key {made['id']} of bob"),
        ("key.rotate", f"key {new['id']} of bob"),
        ("key.revoke", f"key {new['id']} of bob"),
    ]
    assert {(each["actor"], each["organisation"]) for each in entries} == {("root", "acme")}
    assert f"in place of {made['id']}" in entries[1]["detail"]
    assert not [each for each in (made, new) if each["key"][8:] in written.text]
