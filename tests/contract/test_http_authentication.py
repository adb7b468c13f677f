"""Over HTTP: who asks, and what is said to who is not known."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ci_common.access import Role, Scope
from tests.contract.http_harness import passing, running_server
from tests.contract.people import People, key_id, now

CHALLENGE = 'Bearer realm="Standby CI"'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("authentication"), passing) as running:
        people = People(running)
        people.organisation("acme")
        people.user("ada", {"acme": Role.MEMBER})
        yield running


@pytest.fixture(scope="module")
def people(server):
    return People(server)


@pytest.fixture(scope="module")
def ada(people):
    return people.key("ada")


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_good_key_opens_what_its_user_may(server, ada):
    assert server.get("/jobs", headers=ada).status_code == 200
    assert server.get("/api/v1/jobs", headers=ada).json() == []


def test_without_a_key_one_is_asked_for_it(server):
    answer = server.get("/jobs")
    assert outcome(answer) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert "ci login" in answer.json()["hint"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/schema"])
def test_public_routes_ask_nobody_for_a_key(server, path):
    assert server.get(path).status_code == 200
    assert server.get(path, headers={"Authorization": "Bearer sci_wrong"}).status_code == 200


def test_of_a_bad_key_nothing_is_told(server, people):
    expired = people.key("ada", expires_at=now() - timedelta(seconds=1))
    revoked = people.key("ada")
    server.call(
        server.parts.accounts.change_key(
            key_id(revoked["Authorization"]), lambda key: replace(key, revoked_at=now())
        )
    )
    people.user("bob", {"acme": Role.MEMBER})
    disabled = people.key("bob")
    server.call(
        server.parts.accounts.change_user("usr_bob", lambda user: replace(user, disabled_at=now()))
    )
    others = [{"Authorization": f"Bearer {text}"} for text in ("sci_unknown", "no-key-at-all")]
    answers = [server.get("/jobs", headers=each) for each in (expired, revoked, disabled, *others)]
    told = [
        {name: text for name, text in each.json().items() if name != "request_id"}
        for each in answers
    ]
    assert [outcome(each) for each in answers] == [(401, "not_signed_in")] * 5
    assert told == [told[0]] * 5
    challenges = {each.headers["www-authenticate"] for each in answers}
    assert challenges == {f'{CHALLENGE}, error="invalid_token"'}


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer sci_é", "bearer ,"])
def test_a_header_that_is_none_is_a_bad_request(server, header):
    answer = server.get("/jobs", headers={"Authorization": header.encode()})
    assert outcome(answer) == (400, "invalid_request")
    assert "Authorization" in answer.json()["detail"]


def test_two_keys_are_one_too_many(server, ada):
    answer = server.get("/jobs", headers=[*ada.items(), *ada.items()])
    assert outcome(answer) == (400, "invalid_request")


def test_the_scheme_has_any_case_and_others_are_not_ours(server, ada):
    key = ada["Authorization"].partition(" ")[2]
    assert server.get("/jobs", headers={"Authorization": f"BEARER {key}"}).status_code == 200
    assert outcome(server.get("/jobs", headers={"Authorization": f"Basic {key}"}))[0] == 401


def test_a_key_is_good_for_its_scopes_only(server, people):
    reading = people.key("ada", scopes=[Scope.READ])
    assert server.get("/jobs", headers=reading).status_code == 200
    refused = server.post("/submit-async", headers=reading)
    assert outcome(refused) == (403, "permission_denied")
    assert "submit" in refused.json()["detail"]


def test_when_a_key_was_used_is_noted(server, people):
    headers = people.key("ada")
    used = key_id(headers["Authorization"])
    assert server.call(server.parts.accounts.key(used)).last_used_at is None
    server.get("/jobs", headers=headers)
    assert server.call(server.parts.accounts.key(used)).last_used_at is not None


def test_a_socket_is_refused_before_it_is_one(server):
    handshake = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    answer = server.get("/api/v1/events", headers=handshake)
    assert outcome(answer) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == CHALLENGE
