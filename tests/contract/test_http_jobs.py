"""Jobs as data, their logs as text, the state of the server, and problems."""

import re
from collections import Counter
from pathlib import Path

import pytest
from litestar.handlers import HTTPRouteHandler

from ci_common.job_options import OPTIONS
from ci_server.routes import HANDLERS, MANAGEMENT
from tests import plain_http
from tests.contract.http_harness import running_server

LOG = bytes(range(256)) * 4


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


def test_a_job_shows_the_documented_fields(server):
    job_id = server.ended(b"ok\n")
    job = server.get(f"/jobs/{job_id}").json()
    assert job["job_id"] == job_id
    assert (job["status"], job["success"]) == ("completed", True)
    for moment in (job["start_time"], job["end_time"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", moment)
    assert (job["reason"], job["exit_code"], job["position"]) == ("passed", 0, None)


def test_a_queued_job_shows_its_position(server):
    server.submit()
    second = server.submit()
    job = server.get(f"/api/v1/jobs/{second}").json()
    assert (job["status"], job["success"], job["position"]) == ("queued", None, 2)
    assert job["start_time"] is job["end_time"] is None


def test_a_prefix_and_last_name_a_job(server):
    first, last = server.submit(), server.submit()
    assert server.get(f"/jobs/{first[:13]}").json()["job_id"] == first
    assert server.get("/jobs/last").json()["job_id"] == last


def test_a_prefix_of_two_jobs_is_refused(server):
    # Seventeen ids and sixteen digits: two begin alike.
    digits = Counter(server.submit()[0] for _ in range(17))
    answer = server.get("/jobs/" + digits.most_common(1)[0][0])
    assert answer.status_code == 409
    assert answer.json()["code"] == "ambiguous_job"


def test_jobs_are_listed_newest_first_page_by_page(server):
    submitted = [server.submit() for _ in range(5)]
    seen, path = [], "/jobs?limit=2"
    while path:
        answer = server.get(path)
        assert answer.status_code == 200
        seen += [job["job_id"] for job in answer.json()]
        link = re.match(r'<(/jobs\?[^>]+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else None
    assert seen == submitted[::-1]


def test_the_next_page_of_the_other_mount_is_there_too(server):
    for _ in range(2):
        server.submit()
    assert server.get("/api/v1/jobs?limit=1").headers["link"].startswith("</api/v1/jobs?")
    assert "link" not in server.get("/jobs?limit=2").headers


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=0", "cursor=x"])
def test_a_page_that_cannot_be_is_refused(server, query):
    answer = server.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_log_is_its_bytes(server):
    job_id = server.ended(LOG)
    answer = server.get(f"/jobs/{job_id}/log")
    assert answer.content == LOG
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_long_log_comes_whole(server):
    job_id = server.ended(LOG * 3000)
    assert server.get(f"/jobs/{job_id}/log").content == LOG * 3000


def test_a_job_that_wrote_nothing_has_an_empty_log(server):
    answer = server.get(f"/jobs/{server.submit()}/log")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("header", "expected", "said"),
    [
        ("bytes=0-99", LOG[:100], "bytes 0-99/1024"),
        ("bytes=1000-", LOG[1000:], "bytes 1000-1023/1024"),
        ("bytes=-24", LOG[-24:], "bytes 1000-1023/1024"),
        ("bytes=1023-5000", LOG[-1:], "bytes 1023-1023/1024"),
    ],
)
def test_a_range_of_a_log(server, header, expected, said):
    job_id = server.ended(LOG)
    answer = server.get(f"/jobs/{job_id}/log", headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == expected
    assert answer.headers["content-range"] == said


@pytest.mark.parametrize(
    "headers", [{"Range": "bytes=5-2"}, {"Range": "bytes=0-1,3-4"}, {"Range": "x=1-2"},
                {"Range": "bytes=0-1", "If-Range": '"etag"'}]
)  # fmt: skip
def test_a_range_that_is_none_is_ignored(server, headers):
    job_id = server.ended(LOG)
    answer = server.get(f"/jobs/{job_id}/log", headers=headers)
    assert (answer.status_code, answer.content) == (200, LOG)


def test_a_range_past_the_end_is_416(server):
    job_id = server.ended(LOG)
    answer = server.get(f"/jobs/{job_id}/log", headers={"Range": "bytes=1024-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */1024"
    assert answer.json()["code"] == "range_not_satisfiable"


def test_head_tells_the_length(server):
    job_id = server.ended(LOG)
    answer = plain_http.head(f"{server.url}/jobs/{job_id}/log")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "1024"


def test_health_readiness_and_version(server):
    assert server.get("/health").json() == {"status": "alive"}
    server.submit()
    ready = server.get("/api/v1/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True, "executor": "docker", "leader": True, "queued": 1, "running": 0,
        "problems": {},
    }  # fmt: skip
    version = server.get("/version").json()
    assert set(version) == {"version", "python", "manifests", "commit", "api", "features"}
    assert version["api"] == "v1"
    assert version["features"] == ["manifests", "metrics", "standbys"]


def test_an_engine_that_is_away_is_degraded_and_jobs_are_still_taken(server):
    server.controller.engine_error = "the engine does not answer"
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["problems"] == {"engine": "the engine does not answer"}
    assert server.get("/health").status_code == 200
    assert server.submit()


def test_a_worker_that_does_not_lead_says_what_the_controller_sees(server):
    server.controller.is_leader = False
    server.controller.engine_error = "never looked"
    assert server.get("/ready").status_code == 200
    server.parts.outage.declare("gone")
    assert server.get("/ready").json()["problems"] == {"engine": "gone"}
    server.parts.outage.declare(None)
    assert server.get("/ready").status_code == 200


def test_a_job_says_what_it_waits_for_until_it_has_ended(server):
    ended, waits = server.ended(LOG), server.submit()
    assert server.get(f"/jobs/{waits}").json()["waiting"] is None
    server.parts.outage.declare("gone")
    assert server.get(f"/jobs/{waits}").json()["waiting"] == "waiting for the engine: gone"
    assert server.get(f"/jobs/{ended}").json()["waiting"] is None


def test_a_database_that_is_stuck_is_degraded(server, monkeypatch):
    from ci_common.errors import StorageBusy

    async def busy():
        raise StorageBusy

    monkeypatch.setattr(server.parts.repository, "count", busy)
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert "database" in ready.json()["problems"]
    assert ready.json()["queued"] is None


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/v2/jobs", 404, "not_found"),
        ("GET", "/schema/nothing", 404, "not_found"),
        ("GET", "/jobs/no-such", 404, "job_not_found"),
        ("GET", "/jobs/no-such/log", 404, "job_not_found"),
        ("GET", "/jobs/%2e%2e%2fetc", 404, None),
        ("GET", "/jobs/" + "a" * 65, 400, "invalid_request"),
        ("PUT", "/jobs", 405, "method_not_allowed"),
        ("GET", "/submit", 405, "method_not_allowed"),
        ("DELETE", "/jobs/last", 405, "method_not_allowed"),
    ],
)
def test_every_error_is_a_problem_document(server, method, path, status, code):
    answer = plain_http.request(method, server.url + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:standby-ci:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert code in (None, problem["code"])


def test_a_sane_request_id_is_kept_and_another_replaced(server):
    kept = server.get("/health", headers={"X-Request-ID": "abc-1.2"})
    assert kept.headers["x-request-id"] == "abc-1.2"
    for odd in ("a b", "x" * 200, "<script>"):
        answer = server.get("/nothing", headers={"X-Request-ID": odd})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_the_description_names_every_route_and_no_other_host(server):
    answer = server.get("/schema/openapi.json")
    description = answer.json()
    described = {
        operation["operationId"]
        for item in description["paths"].values()
        for operation in item.values()
    }
    handlers = (*HANDLERS, *MANAGEMENT)
    served = {each.operation_id for each in handlers if isinstance(each, HTTPRouteHandler)}
    assert described == served
    form = description["paths"]["/api/v1/submit"]["post"]["requestBody"]["content"]
    fields = set(form["multipart/form-data"]["schema"]["properties"])
    assert fields == {*OPTIONS, "file", "manifest", "command", "project", "artifact", "secret"}
    stream = description["paths"]["/api/v1/jobs/{reference}/stream"]["get"]["responses"]
    assert "text/event-stream" in stream["200"]["content"]
    assert "application/problem+json" in stream["404"]["content"]
    cancel = description["paths"]["/api/v1/jobs/{reference}"]["delete"]
    assert {"200", "202", "404", "409"} <= set(cancel["responses"])
    assert description["servers"] == [{"url": "/"}]
    assert all(ref.startswith("#/") for ref in re.findall(r'"\$ref":"([^"]*)"', answer.text))


def test_the_page_needs_nothing_from_anywhere(server):
    page = server.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    # Examples of a webhook and of a link.
    text = page.text.replace("https://chat.example/", "").replace("https://ci.example/", "")
    for forbidden in ("//", "<script", "src=", "@import", "url("):
        assert forbidden not in text
    links = set(re.findall(r'href="([^"]+)"', page.text))
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in page.text
        else:
            assert server.get(link).status_code == 200
    assert "/jobs/{reference}/stream" in page.text


def test_every_route_is_documented(server):
    text = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")
    paths = server.get("/schema/openapi.json").json()["paths"]
    # The first version's routes are written as they were, without the prefix.
    written = [path.replace("{reference}", "{job}") for path in paths]
    missing = [path for path in written if path.removeprefix("/api/v1") not in text]
    assert not missing
