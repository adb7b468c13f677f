"""The log of a server's process, as a machine reads it."""

import json
import socket
import subprocess

import pytest

from tests import plain_http
from tests.e2e.harness import CI
from tests.waiting import eventually

SECRET = "hunter2"


@pytest.fixture
def server(servers, namespace):
    return servers(
        namespace, executor="local", log_format="json", log_level="debug",
        job_env=f"TOKEN={SECRET}", trusted_proxies="127.0.0.1", let_anyone_run_code="yes",
    ).start()  # fmt: skip


def lines(server) -> list[dict]:
    """Every line but the one on stdout; each has to be an object."""
    # The last line may be on its way.
    text = server.log.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in text if not line.startswith("Standby CI at ")]


def test_each_line_is_an_object_with_the_ids_and_nothing_secret(server, project):
    folder = project(f"echo output-{SECRET}")
    environment = server.environment() | {"CI_API_KEY": f"key-{SECRET}"}
    done = subprocess.run(
        [CI, "submit", str(folder.path)], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    headers = {"X-Request-ID": "trace-1", "X-Forwarded-For": "192.0.2.7",
               "Authorization": f"Bearer {SECRET}"}  # fmt: skip
    job_id = plain_http.get(f"{server.url}/jobs/last", headers=headers).json()["job_id"]
    plain_http.get(f"{server.url}/jobs/{job_id}?token={SECRET}", headers=headers)
    plain_http.post(f"{server.url}/submit-async", headers=headers, data={"file": SECRET})
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as broken:
        broken.sendall(b"NONSENSE\r\n\r\n")
        broken.recv(1000)
    one = line_with(server, path=f"/jobs/{job_id}", request_id="trace-1")
    assert (one["client"], one["method"], one["status"]) == ("192.0.2.7", "GET", 200)
    assert (one["job_id"], one["duration_ms"] >= 0) == (job_id, True)
    assert line_with(server, path="/submit-stream")["job_id"] == job_id
    ended = line_with(server, logger="ci_controller.attempts")
    assert ended["job_id"] == job_id
    assert "request_id" not in ended
    assert line_with(server, logger="uvicorn.error")["level"] == "warning"
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines(server))
    assert SECRET not in server.log.read_text()


def line_with(server, **fields: str) -> dict:
    def look() -> dict | None:
        found = (line for line in lines(server) if fields.items() <= line.items())
        return next(found, None)

    return eventually(look, what=f"a line with {fields}")


def test_requests_may_be_left_out(servers, namespace):
    server = servers(namespace, executor="local", access_log="no").start()
    plain_http.get(f"{server.url}/version")
    assert "access_log" not in server.log.read_text()
