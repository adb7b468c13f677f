"""Signing in, sessions and passwords, for programs that speak JSON."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ci_common.access import Action
from ci_common.audit import AuditedAction
from ci_common.clock import SystemClock
from ci_server.guard import action_of
from ci_server.sign_in.credentials import FORM_KEY
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.routes import all_routes
from tests.contract.sign_in_people import OTHER, PASSWORD, Browser, People

COOKIE = "ci_session"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("sign-in")
    with running_server(folder, accounts="on") as running:
        people = People(running)
        people.add("root", server_admin=True)
        yield running


@pytest.fixture(scope="module")
def people(server: RunningServer) -> People:
    return People(server)


@pytest.fixture
def browser(server: RunningServer) -> Iterator[Browser]:
    with Browser(server) as browser:
        yield browser


@pytest.fixture
def another(server: RunningServer) -> Iterator[Browser]:
    with Browser(server) as browser:
        yield browser


def audited(server: RunningServer, action: AuditedAction) -> list:
    query = "SELECT outcome, actor, subject, detail, address FROM audit WHERE action = ?"
    rows = server.call(server.parts.repository._database.fetch_all(query, (action.value,)))
    return [dict(row) for row in rows]


def test_who_gives_name_and_password_has_a_session(people, browser) -> None:
    people.add("ada")
    assert browser.get("/sessions").status_code == 401
    answer = browser.sign_in("ADA")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["user"] == "ada"
    assert said["session"]["method"] == "password"
    assert said["session"]["current"] is True
    (listed,) = browser.get("/sessions").json()
    assert listed == said["session"] | {"last_seen_at": listed["last_seen_at"]}
    assert browser.get("/session").json()["csrf_token"] == said["csrf_token"]


def test_the_cookie_is_for_this_server_and_for_no_script(people, browser, server) -> None:
    people.add("grace")
    shown = browser.sign_in("grace").headers["set-cookie"]
    attributes = [part.strip().lower() for part in shown.split(";")[1:]]
    assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
    assert not any(part.startswith("domain") for part in attributes)
    secret = browser.cookies[COOKIE]
    database = server.settings.db_path
    stored = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert b"grace" in stored
    assert secret.encode() not in stored


def test_behind_tls_the_cookie_is_bound_to_host_and_tls(tmp_path) -> None:
    with running_server(tmp_path, accounts="on", trusted_proxies="127.0.0.1") as server:
        People(server).add("ada")
        headers = {"X-Forwarded-Proto": "https", "Host": "ci.example"}
        asked = {"name": "ada", "password": PASSWORD}
        answer = httpx2.post(server.url + "/api/v1/sign-in", json=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-ci_session=")
        assert re.search(r";\s*secure", cookie, re.IGNORECASE)
        held = cookie.split(";")[0]
        listed = httpx2.get(server.url + "/api/v1/sessions", headers=headers | {"Cookie": held})
        assert listed.status_code == 200
        # The name that anybody can set over http counts for nothing there.
        weak = held.removeprefix("__Host-")
        refused = httpx2.get(server.url + "/api/v1/sessions", headers=headers | {"Cookie": weak})
        assert refused.status_code == 401
        # Without TLS, from another machine, a password would be read on its way.
        plain = httpx2.post(
            server.url + "/api/v1/sign-in", json=asked, headers={"Host": "ci.example"}
        )
        assert plain.status_code == 403
        assert "https" in plain.json()["detail"]


def test_all_that_can_be_wrong_is_one_answer(people, browser) -> None:
    people.add("linus")
    people.add("nopassword", None)
    people.add("gone", disabled_at=SystemClock().now().wall)
    answers = [
        browser.sign_in(name, password)
        for name, password in (
            ("linus", "not the password"),
            ("nobody-at-all", PASSWORD),
            ("nopassword", PASSWORD),
            ("gone", PASSWORD),
            ("with\x00nul", PASSWORD),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    documents = [answer.json() for answer in answers]
    for document in documents:
        del document["request_id"]
    assert all(document == documents[0] for document in documents)
    assert all("set-cookie" not in answer.headers for answer in answers)


def test_a_name_that_nobody_has_takes_as_long(people, browser, server, monkeypatch) -> None:
    people.add("margaret")
    compared = []
    verify = server.parts.sign_in.passwords._matches

    def counting(kept, password):
        compared.append(kept)
        return verify(kept, password)

    monkeypatch.setattr(
        type(server.parts.sign_in.passwords), "_matches", lambda _, *a: counting(*a)
    )
    browser.sign_in("margaret", "wrong")
    browser.sign_in("margaret-s-shadow", "wrong")
    assert len(compared) == 2
    assert compared[1] is None


def test_a_page_of_another_site_cannot_use_a_session(people, browser) -> None:
    people.add("radia")
    assert browser.sign_in("radia").status_code == 200
    for headers in (
        {"CI-CSRF-Token": ""},
        {"CI-CSRF-Token": "x" * 43},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for method, path in (("DELETE", "/sessions"), ("POST", "/token"), ("POST", "/sign-out")):
            answer = browser.request(method, path, headers=headers, json={})
            assert answer.status_code == 403, (headers, method, path, answer.text)
    assert browser.get("/sessions").status_code == 200
    assert browser.delete("/sessions").status_code == 204


def test_no_route_changes_anything_for_a_cookie_alone(people, browser, server) -> None:
    people.add("shafi", server_admin=True)
    browser.sign_in("shafi")
    del browser.headers["CI-CSRF-Token"]
    changing = [
        each
        for each in all_routes()
        if each.method in {"POST", "PUT", "PATCH", "DELETE"}
        and action_of(each.handler) is not Action.BE_THERE
        and FORM_KEY not in each.handler.opt
    ]
    assert len(changing) > 30
    for each in changing:
        path = re.sub(r"\{[^}]*\}", "x", each.path)
        answer = browser.request(each.method, server.url + path)
        assert answer.status_code == 403, str(each)
        assert "CI-CSRF-Token" in answer.json()["detail"], str(each)
    assert browser.get("/session").status_code == 200


@pytest.mark.parametrize(
    "says", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_hears_nothing_by_a_socket_of_a_session(
    people, browser, server, says
) -> None:
    people.add(f"adi-{len(str(says))}", server_admin=True)
    browser.sign_in(f"adi-{len(str(says))}")
    address = server.url.replace("http", "ws", 1) + "/api/v1/events"
    cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    with pytest.raises(InvalidStatus) as refused:
        connect(address, additional_headers=cookie | says)
    assert refused.value.response.status_code == 403
    with connect(address, additional_headers=cookie, origin=server.url):
        pass


def test_the_token_of_another_session_is_not_good(people, browser, another) -> None:
    people.add("barbara")
    browser.sign_in("barbara")
    another.sign_in("barbara")
    stolen = {"CI-CSRF-Token": another.headers["CI-CSRF-Token"]}
    assert browser.delete("/sessions", headers=stolen).status_code == 403


def test_a_page_of_another_site_cannot_sign_somebody_in(people, browser) -> None:
    people.add("frances")
    asked = {"name": "frances", "password": PASSWORD}
    answer = browser.post("/sign-in", json=asked, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_signing_out_ends_the_session_on_the_server(people, browser, another) -> None:
    people.add("jean")
    browser.sign_in("jean")
    another.cookies.set(COOKIE, browser.cookies[COOKIE])
    assert another.get("/sessions").status_code == 200
    answer = browser.post("/sign-out")
    assert answer.status_code == 204
    assert COOKIE not in browser.cookies
    assert another.get("/sessions").status_code == 401


def test_one_can_end_other_sessions_of_oneself_only(people, browser, another, server) -> None:
    people.add("katherine")
    people.add("dorothy")
    mine, second = browser.sign_in("katherine").json(), another.sign_in("katherine").json()
    with Browser(server) as third:
        theirs = third.sign_in("dorothy").json()["session"]["id"]
        assert browser.delete(f"/sessions/{theirs}").status_code == 404
        assert third.get("/sessions").status_code == 200
    assert browser.delete(f"/sessions/{second['session']['id']}").status_code == 204
    assert another.get("/sessions").status_code == 401
    another.cookies.clear()
    another.sign_in("katherine")
    assert len(browser.get("/sessions").json()) == 2
    assert browser.delete("/sessions").status_code == 204
    assert another.get("/sessions").status_code == 401
    (left,) = browser.get("/sessions").json()
    assert left["id"] == mine["session"]["id"]


def test_each_sign_in_has_an_id_that_nobody_has_seen(people, browser) -> None:
    people.add("fixed")
    browser.cookies.set(COOKIE, "chosen-by-somebody-else")
    assert browser.get("/sessions").status_code == 401
    browser.cookies.clear()
    browser.cookies.set(COOKIE, "chosen-by-somebody-else")
    answer = browser.sign_in("fixed")
    assert answer.status_code == 200, answer.text
    set_to = answer.cookies[COOKIE]
    assert set_to != "chosen-by-somebody-else"
    assert len(set_to) >= 43


def test_another_password_ends_all_sessions_but_gives_a_new_one(people, browser, another) -> None:
    people.add("hedy")
    browser.sign_in("hedy")
    another.sign_in("hedy")
    before = browser.cookies[COOKIE]
    wrong = browser.post("/password", json={"password": "not it", "new_password": OTHER})
    assert wrong.status_code == 403
    weak = browser.post("/password", json={"password": PASSWORD, "new_password": "hedy1234567890"})
    assert weak.status_code == 400
    assert weak.json()["detail"].startswith("password:")
    done = browser.post("/password", json={"password": PASSWORD, "new_password": OTHER})
    assert done.status_code == 204, done.text
    assert browser.cookies[COOKIE] != before
    assert browser.get("/sessions").status_code == 200
    assert another.get("/sessions").status_code == 401
    assert another.sign_in("hedy").status_code == 401
    another.cookies.clear()
    assert another.sign_in("hedy", OTHER).status_code == 200


def test_who_is_disabled_is_out_at_once_and_for_good(people, browser) -> None:
    user = people.add("ellen")
    browser.sign_in("ellen")
    people.change(user, disabled_at=SystemClock().now().wall)
    assert browser.get("/sessions").status_code == 401
    people.change(user, disabled_at=None)
    assert browser.get("/sessions").status_code == 401


def test_a_session_ends_when_it_is_not_used_and_in_any_case(people, browser, server) -> None:
    user = people.add("annie")
    browser.sign_in("annie")
    database = server.parts.repository._database

    def backdate(column: str, by: timedelta) -> None:
        async def write() -> None:
            async with database.transaction() as transaction:
                sql = f"UPDATE sessions SET {column} = {column} - ? WHERE user = ?"
                await transaction.execute(sql, (int(by.total_seconds() * 1e6), user.id))

        server.call(write())

    idle = timedelta(seconds=server.settings.session_idle_timeout)
    backdate("last_seen", idle - timedelta(seconds=60))
    assert browser.get("/sessions").status_code == 200  # and is used by that
    backdate("last_seen", timedelta(seconds=70))
    assert browser.get("/sessions").status_code == 200
    backdate("last_seen", idle)
    assert browser.get("/sessions").status_code == 401
    browser.cookies.clear()
    browser.sign_in("annie")
    backdate("expires", timedelta(seconds=server.settings.session_lifetime))
    assert browser.get("/sessions").status_code == 401


def test_a_link_sets_a_password_once(people, browser, another) -> None:
    user = people.add("mary")
    another.sign_in("mary")
    older, link = people.link(user), people.link(user)
    asked = {"link": link, "password": OTHER}
    assert browser.post("/set-password", json=asked | {"link": older}).status_code == 410
    weak = browser.post("/set-password", json=asked | {"password": "mary mary mary"})
    assert weak.status_code == 400
    done = browser.post("/set-password", json=asked)
    assert done.status_code == 200, done.text
    assert done.json()["session"]["method"] == "link"
    assert browser.get("/sessions").status_code == 200
    assert another.get("/sessions").status_code == 401
    assert another.post("/set-password", json=asked).status_code == 410
    another.cookies.clear()
    assert another.sign_in("mary").status_code == 401
    assert another.sign_in("mary", OTHER).status_code == 200


def test_a_link_that_is_over_or_made_up_is_not_good(people, browser, server) -> None:
    user = people.add("sophie")
    link = people.link(user)

    async def age() -> None:
        async with server.parts.repository._database.transaction() as transaction:
            await transaction.execute("UPDATE password_links SET expires = 1")

    server.call(age())
    for each in (link, "x" * 43):
        asked = {"link": each, "password": OTHER}
        assert browser.post("/set-password", json=asked).status_code == 410


def test_an_admin_makes_links_for_others(people, browser, another, server) -> None:
    people.add("rosalind", None)
    people.add("lise")
    another.sign_in("lise")
    assert another.post("/users/rosalind/password-link").status_code == 403
    browser.sign_in("root")
    assert browser.post("/users/nobody-at-all/password-link").status_code == 404
    made = browser.post("/users/rosalind/password-link")
    assert made.status_code == 201, made.text
    url = urlsplit(made.json()["url"])
    assert made.json()["url"].startswith(server.url)
    link = parse_qs(url.query)["link"][0]
    done = another.post("/set-password", json={"link": link, "password": OTHER})
    assert done.json()["user"] == "rosalind"


def test_nobody_is_made_the_first_admin_when_there_is_somebody(people, browser) -> None:
    asked = {"link": people.link(None), "password": OTHER, "name": "intruder"}
    assert browser.post("/set-password", json=asked).status_code == 410
    assert browser.sign_in("intruder", OTHER).status_code == 401


def test_what_is_wrong_with_a_body_is_told_by_its_field(browser) -> None:
    for body, field in (
        ({"name": "ada"}, "password"),
        ({"name": 3, "password": "x"}, "name"),
        ({"name": "ada", "password": "x", "remember": True}, "remember"),
    ):
        answer = browser.post("/sign-in", json=body)
        assert answer.status_code == 400
        assert field in answer.json()["detail"]


def test_what_was_done_is_in_the_audit_log(people, browser, server) -> None:
    people.add("ursula")
    browser.sign_in("ursula", "wrong-" + OTHER)
    browser.sign_in("ursula")
    browser.post("/sign-out")
    signed_in = audited(server, AuditedAction.SIGN_IN)
    assert {"ok", "refused"} <= {each["outcome"] for each in signed_in}
    assert any(each["actor"] == "ursula" and each["outcome"] == "ok" for each in signed_in)
    assert any(each["actor"] == "ursula" for each in audited(server, AuditedAction.SIGN_OUT))
    assert OTHER not in json.dumps(signed_in)


def test_an_api_route_takes_a_session(people, browser) -> None:
    people.add("reader", server_admin=True)
    assert browser.get("/jobs").status_code == 401
    browser.sign_in("reader")
    assert browser.get("/jobs").status_code == 200
