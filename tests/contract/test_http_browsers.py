"""What pages of this site and of others may do here."""

import httpx2
import pytest

from tests import plain_http
from tests.contract.http_harness import passing, running_server

FRIEND, STRANGER = "https://dashboard.example", "https://dashboard.example.evil"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsers")
    with running_server(folder, passing, cors_origins=FRIEND) as running:
        yield running


def preflight(server, origin: str, path: str = "/api/v1/submit-async") -> httpx2.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "idempotency-key"}  # fmt: skip
    return plain_http.options(server.url + path, headers=headers, timeout=30)


def test_a_page_that_is_named_may_submit_and_read(server):
    allowed = preflight(server, FRIEND)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == FRIEND
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in allowed.headers["access-control-allow-headers"]
    answer = server.post("/submit-async", headers={"Origin": FRIEND})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    for name in ("Link", "RateLimit", "Retry-After", "X-Request-ID"):
        assert name in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]
    problem = server.get("/jobs/none", headers={"Origin": FRIEND})
    assert problem.status_code == 404
    assert problem.headers["access-control-allow-origin"] == FRIEND


@pytest.mark.parametrize("origin", [STRANGER, "null", FRIEND.upper(), FRIEND + ":444"])
def test_another_may_not(server, origin):
    for answer in (preflight(server, origin), server.get("/jobs", headers={"Origin": origin})):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "Origin" in answer.headers["vary"]
    answer = server.post("/submit-async", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_without_origins_no_page_is_answered(tmp_path):
    with running_server(tmp_path, passing) as running:
        answer = preflight(running, FRIEND)
        assert "access-control-allow-origin" not in answer.headers
        assert "vary" not in answer.headers
        assert running.post("/submit-async", headers={"Origin": FRIEND}).status_code == 403


@pytest.mark.parametrize("path", ["/health", "/jobs/none", "/nothing", "/schema"])
def test_answers_are_neither_guessed_at_nor_framed_nor_kept(server, path):
    headers = server.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
