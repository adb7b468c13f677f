"""Submitting, over real HTTP, with real storage."""

import json
import socket
from pathlib import Path

import httpx2
import pytest

from ci_common.jobs import EndReason, Result
from ci_controller.sweep import sweep
from tests import plain_http
from tests.contract.http_harness import PROJECT, Reader, passing, running_server, text_of
from tests.fakes.clock import FakeClock
from tests.fakes.zips import honest_zip
from tests.waiting import eventually

BOUNDARY = "x-boundary"


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path, passing) as running:
        yield running


@pytest.fixture
def idle(tmp_path):
    """A server whose controller does nothing by itself."""
    with running_server(tmp_path, max_upload_bytes="100k") as running:
        yield running


def events_of(response: httpx2.Response) -> list[tuple[int, dict]]:
    return list(Reader(response))


def form(*parts: tuple[str, bytes]) -> bytes:
    body = b""
    for name, content in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def send(server, body, **headers) -> httpx2.Response:
    sent = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"} | headers
    return plain_http.post(server.url + "/submit-async", content=body, headers=sent, timeout=30)


@pytest.mark.parametrize("mount", ["", "/api/v1"])
def test_submit_streams_the_log_and_the_verdict(server, mount):
    answer = server.post(f"{mount}/submit")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer)
    assert {event["type"] for _, event in events[:-1]} == {"log"}
    assert text_of(events) == "Installing dependencies...\nRunning tests...\n1 passed\n"
    expected = {"type": "complete", "success": True, "exit_code": 0, "reason": "passed"}
    assert events[-1][1] == expected | {"detail": None}
    assert events[-1][0] == len(text_of(events))


def test_submit_stream_says_the_id_first(server):
    answer = server.post("/submit-stream")
    events = events_of(answer)
    assert events[0][1]["type"] == "job_id"
    job_id = events[0][1]["job_id"]
    assert answer.headers["location"] == f"/jobs/{job_id}"
    assert [event["type"] for _, event in events if event["type"] != "status"][-1] == "complete"
    assert server.get(f"/jobs/{job_id}").json()["status"] == "completed"


def test_submit_async_answers_with_the_id_alone(server):
    answer = server.post("/submit-async")
    assert answer.status_code == 200
    assert list(answer.json()) == ["job_id"]
    assert server.events(f"/jobs/{answer.json()['job_id']}/stream?from_beginning=true")[-1][1][
        "success"
    ]


def test_a_failed_job_is_told_as_such(tmp_path):
    def failing(_job):
        return [b"1 failed\n"], Result(reason=EndReason.FAILED, exit_code=1, detail="see the log")

    with running_server(tmp_path, failing) as server:
        last = events_of(server.post("/submit"))[-1][1]
    assert last == {
        "type": "complete", "success": False, "exit_code": 1, "reason": "failed",
        "detail": "see the log",
    }  # fmt: skip


def test_command_and_project_reach_the_job(idle):
    fields = {"command": json.dumps(["pytest", "-k", "a b"]), "project": "demo"}
    job = idle.job(idle.submit(data=fields))
    assert job.recipe.command == ("pytest", "-k", "a b")
    assert job.project == "demo"
    assert idle.get(f"/jobs/{job.id}").json()["command"] == "pytest -k 'a b'"


def test_the_stashed_zip_is_what_was_sent(idle):
    zipped = honest_zip({"test_it.py": b"x" * 1000, "b.bin": bytes(range(256)) * 50})
    job = idle.job(idle.submit(zipped))
    assert Path(job.zip_path).read_bytes() == zipped
    assert job.zip_size == len(zipped)


def test_a_sweep_does_not_take_a_zip_whose_row_is_still_to_come(idle, monkeypatch):
    repository = idle.parts.repository
    add, swept = repository.add, []

    async def sweep_first(new):
        late = FakeClock()
        late.jump_wall(10**9)
        swept.append(await sweep(repository, late, grace=0))
        return await add(new)

    monkeypatch.setattr(repository, "add", sweep_first)
    job_id = idle.post("/submit-async").json()["job_id"]
    assert swept == [0]
    assert Path(idle.job(job_id).zip_path).read_bytes() == PROJECT


def test_a_repeated_submission_is_the_first_job(idle):
    key = {"Idempotency-Key": "k-1"}
    first = idle.submit(headers=key)
    assert idle.submit(headers=key) == first
    assert idle.left_on_disk() == [f"{first}.zip"]
    assert idle.submit(headers={"Idempotency-Key": "k-2"}) != first


def test_a_key_for_something_else_is_refused(idle):
    key = {"Idempotency-Key": "k"}
    first = idle.submit(headers=key)
    answer = idle.post("/submit-async", headers=key, data={"project": "other"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_conflict"
    assert idle.left_on_disk() == [f"{first}.zip"]


@pytest.mark.parametrize("key", ["a b", "x" * 256, "", "\x7f"])
def test_a_key_is_1_to_255_visible_characters(idle, key):
    answer = idle.post("/submit-async", headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (form(("file", b"not a zip")), "invalid_archive", "zip"),
        (form(("file", PROJECT[:-30])), "invalid_archive", "zip"),
        (form(("file", honest_zip({"../evil.py": b"x"}))), "invalid_archive", "evil"),
        (form(("file", honest_zip({}))), "invalid_archive", ""),
        (form(("file", honest_zip({"ci.toml": b"command = 5"}))), "invalid_recipe", "command"),
        (form(("file", b"")), "invalid_request", "empty"),
        (form(("project", b"x")), "invalid_request", "no field named file"),
        (form(("file", PROJECT), ("file", PROJECT)), "invalid_request", "more than once"),
        (form(("file", PROJECT), ("command", b"rm -rf")), "invalid_request", "JSON array"),
        (form(("file", PROJECT), ("project", b"\x1b[2J")), "invalid_request", "printable"),
        (form(("colour", b"1"), ("file", PROJECT)), "invalid_request", "colour"),
        (form(("file", PROJECT))[:-40], "invalid_request", "last boundary"),
        (b"", "invalid_request", "last boundary"),
        (b"garbage" * 100, "invalid_request", "malformed"),
    ],
)
def test_what_cannot_be_a_job_is_refused_and_gone(idle, body, code, reason):
    answer = send(idle, body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert reason in answer.json()["detail"]
    assert idle.left_on_disk() == []
    assert idle.get("/jobs").json() == []


@pytest.mark.parametrize(
    "content_type",
    ["application/zip", "multipart/form-data", "multipart/form-data; boundary=", "",
     "multipart/form-data; boundary=" + "b" * 200, "multipart/mixed; boundary=x-boundary"],
)  # fmt: skip
def test_another_content_type_is_refused(idle, content_type):
    answer = send(idle, form(("file", PROJECT)), **{"content-type": content_type})
    assert answer.status_code == 400
    assert "multipart/form-data" in answer.json()["detail"]


def test_too_much_is_refused_by_its_announced_length_before_it_is_sent(idle):
    host, port = idle.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST /submit-async HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10000000\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
        )
        answer = connection.recv(65536)
    assert b" 413 " in answer.splitlines()[0]
    assert b"upload_too_large" in answer or b"application/problem+json" in answer


def test_too_much_is_refused_when_no_length_was_announced(idle):
    def endless():
        yield form(("file", b""))[: -len(BOUNDARY) - 8]
        for _ in range(64):
            yield b"\0" * 65536

    answer = send(idle, endless())
    assert answer.status_code == 413
    assert answer.json()["code"] == "upload_too_large"
    assert "CI_MAX_UPLOAD_BYTES" in answer.json()["hint"]
    assert idle.left_on_disk() == []


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path):
    with running_server(tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                f"POST /submit-async HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9000000\r\n"
                f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
                + form(("file", b"\0" * 3_000_000))[:-40]
            )
            eventually(server.left_on_disk, what="the upload has begun")
        eventually(lambda: not server.left_on_disk(), what="the temporary file is gone")
        assert server.get("/jobs").json() == []


def test_an_upload_that_stands_still_is_given_up(tmp_path):
    head = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 9000"
    with running_server(tmp_path, upload_idle_timeout="0.2") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                f"POST /submit-async HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n--".encode()
            )
            answer = connection.recv(65536)
        assert b" 400 " in answer.splitlines()[0]
        assert server.left_on_disk() == []


def test_a_full_disk_is_507_and_leaves_nothing(idle, monkeypatch):
    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ci_persistence.stash.os.fsync", full)
    answer = idle.post("/submit-async")
    assert answer.status_code == 507
    assert answer.json()["code"] == "storage_full"
    assert idle.left_on_disk() == []


def test_a_locked_database_is_503_with_a_time_to_come_back(idle, monkeypatch):
    from ci_common.errors import StorageBusy

    async def busy(_new):
        raise StorageBusy

    monkeypatch.setattr(idle.parts.repository, "add", busy)
    answer = idle.post("/submit-async")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert idle.left_on_disk() == []


def test_an_unexpected_error_says_where_to_look_and_nothing_else(idle, monkeypatch, caplog):
    async def broken(_new):
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(idle.parts.repository, "add", broken)
    answer = idle.post("/submit-async", headers={"X-Request-ID": "trace-1"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == "trace-1"
    assert "secret" not in answer.text
    assert idle.left_on_disk() == []
    logged = [record for record in caplog.records if record.exc_info]
    assert "trace-1" in logged[-1].getMessage()
    assert "the secret of the house" in str(logged[-1].exc_info[1])


def test_a_page_of_another_site_cannot_submit(idle):
    answer = idle.post("/submit-async", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
    same = idle.post("/submit-async", headers={"Origin": idle.url})
    assert same.status_code == 200


def test_without_containers_only_this_machine_under_its_own_name_may_ask(tmp_path):
    with running_server(tmp_path, executor_name="local") as server:
        assert server.get("/jobs").status_code == 200
        rebound = server.get("/jobs", headers={"Host": "evil.example"})
        assert rebound.status_code == 403
        assert "its own machine only" in rebound.json()["detail"]


def test_a_client_that_leaves_does_not_stop_its_job(idle):
    files = {"file": ("p.zip", PROJECT, "application/zip")}
    with plain_http.stream(
        "POST", idle.url + "/submit-stream", files=files, timeout=30
    ) as response:
        job_id = next(Reader(response))[1]["job_id"]
    job = idle.claim(job_id)
    idle.write(job, b"still here\n")
    idle.finish(job)
    assert idle.job(job_id).success is True
    assert text_of(idle.events(f"/jobs/{job_id}/stream?from_beginning=true")) == "still here\n"
