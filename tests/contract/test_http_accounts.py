"""Over HTTP: users, organisations, who belongs to them, and who may change that."""

import httpx2
import pytest

from ci_common.access import Role, Scope
from tests.contract.http_harness import passing, running_server
from tests.contract.people import People

USERS, ORGANISATIONS = "/api/v1/users", "/api/v1/organisations"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("accounts"), passing) as running:
        people = People(running)
        for organisation in ("acme", "other"):
            people.organisation(organisation)
        people.user("root", server_admin=True)
        people.user("boss", {"acme": Role.ADMIN})
        people.user("ada", {"acme": Role.MEMBER})
        people.user("vic", {"acme": Role.VIEWER})
        people.user("eve", {"other": Role.ADMIN})
        yield running


@pytest.fixture(scope="module")
def people(server):
    return People(server)


@pytest.fixture(scope="module")
def keys(people):
    return {name: people.key(name) for name in ("root", "boss", "ada", "vic", "eve")}


@pytest.fixture(scope="module")
def call(server, keys):
    """Ask as somebody: ``call("ada", "GET", path)``; None asks without a key."""

    def ask(who, method, path, json=None):
        headers = keys[who] if who else None
        return httpx2.request(method, server.url + path, json=json, headers=headers, timeout=30)

    return ask


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()]


class TestUsers:
    def test_a_user_is_made_shown_changed_and_removed(self, call):
        asked = {"name": "Zoe", "email": "zoe@x.example", "organisations": {"ACME": "viewer"}}
        made = call("root", "POST", USERS, asked)
        assert made.status_code == 201, made.text
        shown = call("root", "GET", f"{USERS}/zoe").json()
        assert shown == made.json()
        expected = {
            "name": "Zoe", "email": "zoe@x.example", "server_admin": False, "disabled_at": None,
            "last_sign_in": None, "has_password": False, "signs_in_at": None,
            "organisations": {"acme": "viewer"},
        }  # fmt: skip
        assert shown | expected == shown
        assert "Zoe" in names(call("root", "GET", USERS))
        changed = call("root", "PATCH", f"{USERS}/zoe", {"name": "zoe2", "email": ""})
        assert (changed.json()["name"], changed.json()["email"]) == ("zoe2", "")
        assert changed.json()["organisations"] == {"acme": "viewer"}
        assert call("root", "DELETE", f"{USERS}/zoe2").status_code == 204
        assert outcome(call("root", "GET", f"{USERS}/zoe2")) == (404, "user_not_found")
        assert outcome(call("root", "DELETE", f"{USERS}/zoe2")) == (404, "user_not_found")

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"name": "a b"}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x" * 65}, "name"),
            ({"name": "ok", "email": "nobody"}, "email"),
            ({"name": "ok", "server_admin": 1}, "server_admin"),
            ({"name": "ok", "organisations": {"acme": "king"}}, "organisations"),
            ({"name": "ok", "password": "x"}, "password"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, asked, field):
        answer = call("root", "POST", USERS, asked)
        assert outcome(answer) == (400, "invalid_request")
        assert field in answer.json()["detail"]

    def test_a_name_that_is_taken_or_an_organisation_that_is_not_there(self, call):
        assert outcome(call("root", "POST", USERS, {"name": "ADA"})) == (409, "name_taken")
        renamed = call("root", "PATCH", f"{USERS}/ada", {"name": "Boss"})
        assert outcome(renamed) == (409, "name_taken")
        asked = {"name": "new", "organisations": {"nowhere": "viewer"}}
        assert outcome(call("root", "POST", USERS, asked)) == (404, "organisation_not_found")

    def test_only_server_admins_get_to_users(self, call):
        for who, expected in (
            ("boss", (403, "permission_denied")),
            ("ada", (403, "permission_denied")),
            (None, (401, "not_signed_in")),
        ):
            assert outcome(call(who, "GET", USERS)) == expected
            assert outcome(call(who, "POST", USERS, {"name": "mine"})) == expected
            for name in ("ada", "nobody"):
                assert outcome(call(who, "GET", f"{USERS}/{name}")) == expected
                change = {"server_admin": True}
                assert outcome(call(who, "PATCH", f"{USERS}/{name}", change)) == expected
                assert outcome(call(who, "DELETE", f"{USERS}/{name}")) == expected
        assert not call("root", "GET", f"{USERS}/ada").json()["server_admin"]

    def test_a_key_without_the_scope_or_of_one_organisation_makes_no_users(self, server, people):
        for key in (
            people.key("root", scopes=[Scope.READ]),
            people.key("root", organisation="acme"),
        ):
            answer = server.post_json(USERS, json={"name": "mine"}, headers=key)
            assert outcome(answer) == (403, "permission_denied")

    def test_the_last_admin_stays_one(self, call):
        for change in ({"disabled": True}, {"server_admin": False}):
            assert outcome(call("root", "PATCH", f"{USERS}/root", change)) == (409, "last_admin")
        assert outcome(call("root", "DELETE", f"{USERS}/root")) == (409, "last_admin")
        assert call("root", "GET", USERS).status_code == 200

    def test_who_is_disabled_or_removed_is_nobody_at_once(self, server, people, call):
        people.user("tmp", {"acme": Role.MEMBER})
        key = people.key("tmp")
        assert server.get("/jobs", headers=key).status_code == 200
        disabled = call("root", "PATCH", f"{USERS}/tmp", {"disabled": True})
        since = disabled.json()["disabled_at"]
        assert since is not None
        assert outcome(server.get("/jobs", headers=key)) == (401, "not_signed_in")
        again = call("root", "PATCH", f"{USERS}/tmp", {"disabled": True})
        assert again.json()["disabled_at"] == since
        call("root", "PATCH", f"{USERS}/tmp", {"disabled": False})
        assert server.get("/jobs", headers=key).status_code == 200
        call("root", "DELETE", f"{USERS}/tmp")
        assert outcome(server.get("/jobs", headers=key)) == (401, "not_signed_in")


class TestOrganisations:
    def test_one_is_made_shown_changed_and_removed(self, call):
        made = call("root", "POST", ORGANISATIONS, {"name": "new", "max_running": 2})
        assert made.status_code == 201
        path = f"{ORGANISATIONS}/NEW"
        assert call("root", "GET", path).json() == made.json()
        change = {"name": "newer", "max_queued": 0}
        assert call("root", "PATCH", path, change).status_code == 200
        path = f"{ORGANISATIONS}/newer"
        # To JSON 7.0 is an integer, too.
        changed = call("root", "PATCH", path, {"max_running": None, "max_artifact_bytes": 7.0})
        expected = {"name": "newer", "max_running": None, "max_queued": 0, "max_artifact_bytes": 7}
        assert changed.json() == made.json() | expected
        assert call("root", "DELETE", path).status_code == 204
        assert outcome(call("root", "GET", path)) == (404, "organisation_not_found")

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"name": "-x"}, "name"),
            ({"name": None}, "name"),
            ({"max_running": -1}, "max_running"),
            ({"max_queued": True}, "max_queued"),
            ({"max_artifact_bytes": 1.5}, "max_artifact_bytes"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, asked, field):
        answer = call("root", "PATCH", f"{ORGANISATIONS}/acme", asked)
        assert outcome(answer) == (400, "invalid_request")
        assert field in answer.json()["detail"]

    def test_a_name_is_taken_once(self, call):
        assert outcome(call("root", "POST", ORGANISATIONS, {"name": "ACME"})) == (409, "name_taken")
        answer = call("root", "PATCH", f"{ORGANISATIONS}/other", {"name": "acme"})
        assert outcome(answer) == (409, "name_taken")

    def test_one_sees_ones_own(self, call):
        assert names(call("root", "GET", ORGANISATIONS)) == ["acme", "other"]
        for who in ("boss", "ada", "vic"):
            assert names(call(who, "GET", ORGANISATIONS)) == ["acme"]
            assert call(who, "GET", f"{ORGANISATIONS}/acme").status_code == 200
        assert names(call("eve", "GET", ORGANISATIONS)) == ["other"]
        assert outcome(call(None, "GET", ORGANISATIONS)) == (401, "not_signed_in")

    def test_of_another_one_nothing_is_told_from_one_that_is_not_there(self, call):
        told = []
        for name in ("acme", "nowhere"):
            path = f"{ORGANISATIONS}/{name}"
            answers = [
                call("eve", "GET", path),
                call("eve", "GET", f"{path}/members"),
                call("eve", "PUT", f"{path}/members/eve", {"role": "admin"}),
                call("eve", "DELETE", f"{path}/members/ada"),
            ]
            assert [outcome(each) for each in answers] == [(404, "organisation_not_found")] * 4
            told.append([each.json()["detail"].replace(name, "…") for each in answers])
        assert told[0] == told[1]

    def test_only_server_admins_make_change_and_remove_them(self, call):
        for who, expected in (
            ("boss", (403, "permission_denied")),
            ("vic", (403, "permission_denied")),
            (None, (401, "not_signed_in")),
        ):
            path = f"{ORGANISATIONS}/acme"
            assert outcome(call(who, "POST", ORGANISATIONS, {"name": "mine"})) == expected
            assert outcome(call(who, "PATCH", path, {"max_running": 99})) == expected
            assert outcome(call(who, "DELETE", path)) == expected
            assert outcome(call(who, "POST", f"{path}/adopt")) == expected
        assert call("root", "GET", f"{ORGANISATIONS}/acme").json()["max_running"] is None


class TestMembers:
    def test_members_see_each_other(self, call):
        expected = [
            {"name": "ada", "role": "member", "disabled": False},
            {"name": "boss", "role": "admin", "disabled": False},
            {"name": "vic", "role": "viewer", "disabled": False},
        ]
        for who in ("root", "boss", "ada", "vic"):
            assert call(who, "GET", f"{ORGANISATIONS}/acme/members").json() == expected

    def test_its_admin_and_the_servers_give_roles_and_take_them(self, people, call):
        people.user("new")
        path = f"{ORGANISATIONS}/acme/members/new"
        for who in ("boss", "root"):
            made = call(who, "PUT", path, {"role": "viewer"})
            assert made.json() == {"name": "new", "role": "viewer", "disabled": False}
            assert call(who, "PUT", path, {"role": "member"}).json()["role"] == "member"
            assert call(who, "DELETE", path).status_code == 204
            assert outcome(call(who, "DELETE", path)) == (404, "user_not_found")
        assert "new" in names(call("root", "GET", USERS))

    def test_a_role_counts_at_once(self, server, people, call):
        people.user("late")
        key = people.key("late")
        path = f"{ORGANISATIONS}/acme/members/late"
        assert server.get("/jobs", headers=key).status_code == 403
        call("boss", "PUT", path, {"role": "viewer"})
        assert server.get("/jobs", headers=key).status_code == 200
        call("boss", "DELETE", path)
        assert server.get("/jobs", headers=key).status_code == 403

    def test_others_do_not(self, call):
        for who, expected in (
            ("ada", (403, "permission_denied")),
            ("vic", (403, "permission_denied")),
            (None, (401, "not_signed_in")),
        ):
            path = f"{ORGANISATIONS}/acme/members/{who or 'vic'}"
            assert outcome(call(who, "PUT", path, {"role": "admin"})) == expected
            assert outcome(call(who, "DELETE", path)) == expected

    def test_an_admin_of_another_one_is_here_what_it_is_here(self, server, people):
        people.user("both", {"acme": Role.VIEWER, "other": Role.ADMIN})
        key = people.key("both")
        path = f"{server.url}{ORGANISATIONS}/acme/members"
        assert httpx2.get(path, headers=key).status_code == 200
        raised = httpx2.put(f"{path}/both", json={"role": "admin"}, headers=key)
        assert outcome(raised) == (403, "permission_denied")
        assert outcome(httpx2.delete(f"{path}/ada", headers=key)) == (403, "permission_denied")
        server.call(server.parts.accounts.remove_user("usr_both"))

    def test_who_is_no_user_becomes_no_member(self, call):
        path = f"{ORGANISATIONS}/acme/members/nobody"
        assert outcome(call("boss", "PUT", path, {"role": "viewer"})) == (404, "user_not_found")
        wrong = call("boss", "PUT", f"{ORGANISATIONS}/acme/members/ada", {"role": "king"})
        assert outcome(wrong) == (400, "invalid_request")

    def test_of_who_is_no_member_its_admin_does_not_learn_whether_it_is_a_user(self, call):
        told = {
            call("boss", "DELETE", f"{ORGANISATIONS}/acme/members/{name}")
            .json()["detail"]
            .replace(name, "…")
            for name in ("eve", "nobody")
        }
        assert len(told) == 1


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server without accounts."""
    with running_server(tmp_path_factory.mktemp("bare")) as running:
        yield running


def test_what_was_done_is_written_down_and_what_was_refused_is_not(call):
    call("root", "POST", USERS, {"name": "noted", "organisations": {"acme": "viewer"}})
    call("boss", "DELETE", f"{ORGANISATIONS}/acme/members/noted")
    call("root", "DELETE", f"{USERS}/root")
    call("root", "DELETE", f"{USERS}/noted")
    entries = call("root", "GET", "/api/v1/audit?limit=4").json()
    told = [(each["actor"], each["action"], each["subject"]) for each in reversed(entries)]
    assert told == [
        ("root", "user.add", "user noted"),
        ("root", "member.set", "user noted"),
        ("boss", "member.remove", "user noted"),
        ("root", "user.remove", "user noted"),
    ]


class TestBeforeThereAreUsers:
    def test_there_is_nobody_and_nothing_to_see(self, bare):
        assert bare.get(USERS).json() == bare.get(ORGANISATIONS).json() == []
        assert outcome(bare.get(f"{USERS}/ada")) == (404, "user_not_found")
        assert outcome(bare.get(f"{ORGANISATIONS}/acme")) == (404, "organisation_not_found")

    def test_who_reaches_it_locks_nobody_out(self, bare):
        for path in (USERS, ORGANISATIONS):
            refused = bare.post_json(path, json={"name": "mine"})
            assert outcome(refused) == (403, "permission_denied")
            assert "ci admin user create" in refused.json()["hint"]
        assert bare.get("/jobs").status_code == 200

    def test_what_was_done_then_is_adopted_later(self, bare):
        job = bare.ended(b"1 passed\n")
        people = People(bare)
        people.organisation("acme")
        people.user("root", server_admin=True)
        people.user("vic", {"acme": Role.VIEWER})
        root, vic = people.key("root"), people.key("vic")
        path = f"{ORGANISATIONS}/acme"
        assert bare.job(job).organisation == ""
        for expected in ({"jobs": 1}, {"jobs": 0}):
            answer = bare.post_json(f"{path}/adopt", headers=root)
            assert (answer.status_code, answer.json()) == (200, expected)
        assert bare.job(job).organisation == "org_acme"
        assert bare.get(f"/jobs/{job}", headers=vic).status_code == 200
        in_use = bare.delete(path, headers=root)
        assert outcome(in_use) == (409, "organisation_in_use")
        assert outcome(bare.post_json(f"{ORGANISATIONS}/no/adopt", headers=root))[0] == 404
