"""Over HTTP: what is written of whom, who may read it, and what is written without accounts."""

import json
from datetime import timedelta

import pytest

from ci_common.access import Credential, Role
from ci_common.audit import AuditedAction, AuditEntry, Outcome
from tests.contract.http_harness import passing, running_server
from tests.contract.people import People, key_id, now
from tests.waiting import eventually

SECRET = "whsec_" + "c3RhbmRieS1jaS1leGFtcGxlLW9mLWEtc2VjcmV0"
HOOK = {"url": "https://hooks.example/hook?token=swordfish", "secret": SECRET}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("audit"), passing) as running:
        people = People(running)
        for name in ("acme", "other"):
            people.organisation(name)
        people.user("root", server_admin=True)
        people.user("ada", {"acme": Role.ADMIN})
        people.user("bob", {"acme": Role.MEMBER})
        yield running


@pytest.fixture(scope="module")
def keys(server):
    people = People(server)
    return {name: people.key(name) for name in ("root", "ada", "bob")}


def entries(server, headers, query: str = "", **wanted) -> list[dict]:
    answer = server.get(f"/api/v1/audit?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [each for each in answer.json() if wanted.items() <= each.items()]


def test_what_is_done_is_written_with_who_did_it_from_where(server, keys):
    sent = keys["root"] | {"X-Request-ID": "audited-1", "CI-Organisation": "acme"}
    added = server.post_json("/api/v1/webhooks", json=HOOK, headers=sent)
    assert added.status_code == 201, added.text
    (entry,) = entries(server, keys["root"], request_id="audited-1")
    assert entry["action"] == "webhook.add"
    assert (entry["outcome"], entry["subject"]) == ("ok", added.json()["id"])
    assert (entry["actor"], entry["actor_id"]) == ("root", "usr_root")
    assert entry["organisation"] == "acme"
    assert entry["credential"] == Credential.KEY
    assert entry["credential_id"] == key_id(keys["root"]["Authorization"])
    assert entry["address"] == "127.0.0.1"
    assert len(bytes.fromhex(entry["digest"])) == 32


def test_every_change_of_a_webhook_is_written_and_nothing_secret(server, keys):
    as_root = keys["root"] | {"CI-Organisation": "acme"}
    hook = server.post_json("/api/v1/webhooks", json=HOOK, headers=as_root).json()["id"]
    path = f"/api/v1/webhooks/{hook}"
    change = {"url": HOOK["url"] + "2", "enabled": True}
    assert server.request("PATCH", path, json=change, headers=as_root).status_code == 200
    tested = server.post_json(f"{path}/test", headers=as_root).json()["id"]
    again = f"/api/v1/webhooks/deliveries/{tested}/redeliver"
    assert server.post_json(again, headers=as_root).status_code == 202
    rotated = server.post_json(f"{path}/rotate", headers=as_root).json()["secret"]
    assert server.delete(path, headers=as_root).status_code == 204
    found = entries(server, keys["root"], "action=webhook", subject=hook)
    assert [(each["action"], each["detail"]) for each in reversed(found)] == [
        ("webhook.add", ""),
        ("webhook.change", "url, enabled"),
        ("webhook.test", ""),
        ("webhook.redeliver", tested),
        ("webhook.rotate", ""),
        ("webhook.remove", ""),
    ]
    said = json.dumps(entries(server, keys["root"]))
    assert not [each for each in ("swordfish", SECRET, rotated) if each in said]


def test_what_is_done_to_jobs_is_written(server, keys):
    job = server.submit(headers=keys["bob"])
    eventually(lambda: server.job(job).status.ended, what="the job has ended")
    again = server.post_json(f"/api/v1/jobs/{job}/retry", headers=keys["bob"]).json()["job_id"]
    eventually(lambda: server.job(again).status.ended, what="the job has ended")
    found = entries(server, keys["root"], "actor=bob&action=job&limit=2")
    assert [(each["action"], each["subject"], each["detail"]) for each in found] == [
        ("job.retry", again, f"of {job}"),
        ("job.submit", job, ""),
    ]
    assert {each["organisation"] for each in found} == {"acme"}


def test_what_was_refused_is_written_once_and_then_counted(server, keys):
    for _ in range(3):
        assert server.delete("/api/v1/cache", headers=keys["bob"]).status_code == 403
        assert server.get("/jobs", headers={"Authorization": "Bearer sci_x"}).status_code == 401
        assert server.get("/jobs").status_code == 401

    def written() -> list[dict]:
        found = entries(server, keys["root"], "action=access&outcome=refused")
        return found if len(found) > 1 else []

    found = eventually(written, what="both refusals are written")
    said = {(each["actor"], each["subject"], each["detail"]) for each in found}
    assert said == {
        ("bob", "DELETE /api/v1/cache", "permission_denied"),
        ("", "GET /jobs", "not_signed_in"),
    }
    server.call(server.server.config.loaded_app.state.refusals.tell())
    told = entries(server, keys["root"], "action=access&limit=2")
    assert {each["detail"].partition("; ")[2] for each in told} == {"2 times more within 60 s"}


def test_an_admin_sees_what_concerns_the_organisation_and_others_nothing(server, keys):
    for organisation in ("org_acme", "org_other", ""):
        entry = AuditEntry(
            at=now(), action=AuditedAction.KEY_ADD, subject="seen", organisation=organisation
        )
        server.call(server.parts.audit.record(entry))
    seen = {
        name: {each["organisation"] for each in entries(server, keys[name], subject="seen")}
        for name in ("root", "ada")
    }
    assert seen == {"root": {"acme", "other", ""}, "ada": {"acme"}}
    assert [each["organisation"] for each in entries(
        server, keys["root"], "organisation=Other", subject="seen"
    )] == ["other"]  # fmt: skip
    assert server.get("/api/v1/audit", headers=keys["bob"]).status_code == 403
    assert server.get("/api/v1/audit").status_code == 401
    hidden = server.get("/api/v1/audit?organisation=other", headers=keys["ada"])
    assert (hidden.status_code, hidden.json()["code"]) == (404, "organisation_not_found")


def test_pages_lead_through_all_that_fits_and_nothing_else(server, keys):
    for number in range(5):
        entry = AuditEntry(
            at=now() - timedelta(days=2),
            action=AuditedAction.SECRET_SET,
            subject=str(number),
            actor="cyd",
            outcome=Outcome.OK,
        )
        server.call(server.parts.audit.record(entry))
    path, found = "/api/v1/audit?limit=2&actor=CYD&action=secret&until=1d&since=3d&outcome=ok", []
    while path:
        answer = server.get(path, headers=keys["root"])
        found += [each["subject"] for each in answer.json()]
        path = answer.links.get("next", {}).get("url")
    assert found == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("action=revoke", "key.revoke"),
        ("since=yesterday", "since"),
        ("actors=ada", "actor"),
        ("outcome=bad", "outcome"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_the_way_out(server, keys, query, named):
    answer = server.get(f"/api/v1/audit?{query}", headers=keys["root"])
    assert answer.status_code == 400
    assert named in answer.text


def test_without_accounts_changes_of_the_server_are_written_and_jobs_are_not(tmp_path):
    with running_server(tmp_path, passing) as server:
        server.submit()
        job = server.submit()
        server.delete(f"/api/v1/jobs/{job}")
        hook = server.post_json("/api/v1/webhooks", json=HOOK).json()["id"]
        (entry,) = server.get("/api/v1/audit").json()
        assert (entry["action"], entry["subject"]) == ("webhook.add", hook)
        assert (entry["actor"], entry["credential"]) == ("", "none")
