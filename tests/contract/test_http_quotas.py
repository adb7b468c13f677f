"""Over HTTP: what is refused over a quota, what waits for one, and what is left of it."""

import pytest

from ci_common.access import Role
from tests.contract.http_harness import running_server
from tests.contract.people import People
from tests.fakes.zips import honest_zip
from tests.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("quotas"), org_max_queued=2) as running:
        people = People(running)
        for name in ("acme", "free"):
            people.organisation(name)
            people.user(f"{name}-member", {name: Role.MEMBER})
        people.user("root", server_admin=True)
        yield running


@pytest.fixture(scope="module")
def keys(server):
    people = People(server)
    return {name: people.key(name) for name in ("acme-member", "free-member", "root")}


@pytest.fixture(scope="module")
def acme(keys):
    return keys["acme-member"]


def allow(server, keys, organisation: str, **quotas) -> None:
    path = f"/api/v1/organisations/{organisation}"
    answer = server.request("PATCH", path, json=quotas, headers=keys["root"])
    assert answer.status_code == 200, answer.text


def usage(server, headers, organisation: str = "acme") -> dict:
    answer = server.get(f"/api/v1/organisations/{organisation}/usage", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_quotas_over_http(server, keys, acme):
    """One after the other, since each goes on with the jobs of the one before."""
    _what_is_over_the_servers_default_is_refused(server, acme)
    _at_its_limit_an_organisation_waits_and_says_so(server, keys, acme)
    _projects_that_are_kept_count(server, keys, acme)


def _what_is_over_the_servers_default_is_refused(server, acme):
    jobs = [server.submit(headers=acme) for _ in range(2)]
    refused = server.post("/submit-async", headers=acme)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert "2 jobs queued, and may have 2" in refused.json()["detail"]
    assert "cancel some" in refused.json()["hint"]
    again = server.delete(f"/api/v1/jobs/{jobs[0]}", headers=acme)
    assert again.status_code == 200
    server.submit(headers=acme)


def _at_its_limit_an_organisation_waits_and_says_so(server, keys, acme):
    allow(server, keys, "acme", max_running=1, max_queued=0)
    first = server.get("/api/v1/queue", headers=acme).json()["queued"][0]["job_id"]
    server.claim(first)
    other = server.submit(headers=keys["free-member"])

    def waiting() -> list[dict]:
        queue = server.get("/api/v1/queue", headers=keys["root"]).json()["queued"]
        said = {each["job_id"]: each["waits_for"] for each in queue}
        return queue if "quota" in said.values() and said[other] == "turn" else []

    queue = eventually(waiting, what="the queue says what is waited for")
    (blocked,) = [each for each in queue if each["waits_for"] == "quota"]
    assert "as many as it may: 1" in blocked["waiting"]
    job = server.get(f"/jobs/{blocked['job_id']}", headers=acme).json()
    assert job["waiting"] == blocked["waiting"]
    assert server.get(f"/jobs/{other}", headers=keys["root"]).json()["waiting"] is None


def _projects_that_are_kept_count(server, keys, acme):
    has = usage(server, acme)
    assert has["organisation"] == "acme"
    assert (has["running"], has["queued"]) == (
        {"used": 1, "limit": 1},
        {"used": 1, "limit": None},
    )
    used = has["project_bytes"]["used"]
    allow(server, keys, "acme", max_project_bytes=used + 10)
    refused = server.post("/submit-async", headers=acme)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert f"may have {used + 10:,}" in refused.json()["detail"]
    larger = honest_zip({"test_it.py": b"def test_it():\n    pass\n", "more": b"x"})
    allow(server, keys, "acme", max_project_bytes=used + len(larger))
    server.submit(larger, headers=acme)
    assert usage(server, acme)["project_bytes"]["used"] == used + len(larger)


def test_usage_is_shown_to_members_and_to_nobody_else(server, keys, acme):
    assert usage(server, keys["root"], "ACME")["organisation"] == "acme"
    assert usage(server, acme)["queued"]["used"]
    path = "/api/v1/organisations/acme/usage"
    hidden = server.get(path, headers=keys["free-member"])
    assert (hidden.status_code, hidden.json()["code"]) == (404, "organisation_not_found")
    assert server.get(path).status_code == 401
