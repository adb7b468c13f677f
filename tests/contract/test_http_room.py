"""A server with little room: what it takes, what it says; and jobs that are removed while read."""

import pytest

from ci_common.errors import JobNotFound
from tests import plain_http
from tests.contract.http_harness import PROJECT, passing, running_server, text_of
from tests.fakes.manifests import SCOPE, manifest_of, pack
from tests.fakes.space import FakeSpace
from tests.fakes.zips import honest_zip

MIB = 1024 * 1024


@pytest.fixture
def idle(tmp_path):
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture
def space(idle):
    idle.parts.repository.space = FakeSpace()
    return idle.parts.repository.space


@pytest.mark.parametrize("path", ["/submit", "/submit-stream", "/submit-async", "/api/v1/submit"])
def test_when_room_is_short_no_job_is_taken(idle, space, path):
    space.short = "the server's disk is nearly full: 1.0 MiB left"
    answer = idle.post(path)
    assert answer.status_code == 507
    assert answer.headers["retry-after"] == "60"
    problem = answer.json()
    assert problem["code"] == "storage_full"
    assert problem["detail"] == f"no job is taken now: {space.short}"
    assert "Try again later" in problem["hint"]
    assert idle.left_on_disk() == []
    assert idle.get("/jobs").json() == []


def test_everything_else_works_when_room_is_short(idle, space):
    job_id = idle.ended(b"output\n")
    space.short = "nearly full"
    assert idle.get(f"/jobs/{job_id}").status_code == 200
    assert idle.get(f"/jobs/{job_id}/log").content == b"output\n"
    assert idle.get("/health").status_code == 200


def test_a_server_short_of_room_is_not_ready_and_says_why(idle, space):
    assert idle.get("/ready").json()["ready"] is True
    space.short = "nearly full"
    answer = idle.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"disk": "nearly full"}


def test_an_upload_that_would_not_fit_is_refused_before_it_is_received(idle, space):
    asked = []

    def shortage(wanted=0):
        asked.append(wanted)
        return "no room for that"

    space.shortage = shortage
    assert idle.post("/submit-async", b"x" * MIB).status_code == 507
    assert len(asked) == 1
    assert MIB < asked[0] < MIB + 1000


def test_uploads_that_fitted_only_one_by_one_are_refused_before_they_are_kept(idle, space):
    answers = iter([None, "others were faster"])
    space.shortage = lambda _wanted=0: next(answers)
    assert idle.post("/submit-async").status_code == 507
    assert idle.left_on_disk() == []


def test_a_chunked_upload_has_no_announced_size_and_is_taken(idle, space):
    asked = []
    space.shortage = lambda wanted=0: asked.append(wanted)

    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="p"\r\n\r\n'
        yield PROJECT
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    url = idle.url + "/submit-async"
    assert plain_http.post(url, content=body(), headers=headers).status_code == 200
    assert asked == [0, 0]


def test_the_marks_of_the_settings_are_in_force(tmp_path):
    with running_server(tmp_path, min_free_bytes="1000t") as server:
        answer = server.post("/submit-async")
        assert answer.status_code == 507
        assert "1000.0 TiB of it must stay free" in answer.json()["detail"]


# What is removed while somebody reads it.


@pytest.fixture(scope="module")
def long_log() -> bytes:
    return b"".join(map(b"line %d\n".__mod__, range(1_000_000)))


def remove(server, job_id):
    """As retention does it: first the row, then the files."""
    repository = server.parts.repository
    assert server.call(repository.forget([job_id])) == 1
    repository.logs.remove(job_id)
    repository.stash.remove_job(job_id)


def test_a_removed_job_is_not_found_and_the_answer_says_that_jobs_go(idle):
    job_id = idle.ended(b"output\n")
    remove(idle, job_id)
    for path in ("", "/log", "/stream"):
        answer = idle.get(f"/jobs/{job_id}{path}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "job_not_found"
        assert "removed after a while" in answer.json()["hint"]
    assert idle.get("/jobs/last").status_code == 404


def test_a_stream_of_a_job_that_is_removed_meanwhile_comes_to_its_verdict(idle, long_log):
    job_id = idle.ended(long_log)
    with idle.stream(f"/jobs/{job_id}/stream?from_beginning=true") as reader:
        first = next(reader)
        remove(idle, job_id)
        events = [first, *reader]
    assert text_of(events) == long_log.decode()
    assert events[-1][1]["type"] == "complete"


def test_a_log_that_is_removed_while_it_is_sent_arrives_whole(idle, long_log):
    job_id = idle.ended(long_log)
    with plain_http.stream("GET", f"{idle.url}/jobs/{job_id}/log", timeout=30) as answer:
        pieces = answer.iter_bytes()
        received = next(pieces)
        remove(idle, job_id)
        received += b"".join(pieces)
    assert received == long_log


def test_a_job_that_ended_without_a_log_has_an_empty_one(idle):
    job = idle.claim(idle.submit())
    idle.finish(job)
    answer = idle.get(f"/jobs/{job.id}/log")
    assert (answer.status_code, answer.content) == (200, b"")
    events = idle.events(f"/jobs/{job.id}/stream?from_beginning=true")
    assert [event["type"] for _, event in events] == ["complete"]


@pytest.mark.parametrize("path", ["/log", "/stream?from_beginning=true"])
def test_one_removed_between_its_row_and_its_log_is_not_shown_as_an_empty_log(
    idle, monkeypatch, path
):
    job_id = idle.ended(b"output\n")
    repository = idle.parts.repository

    async def gone(_job_id):
        raise JobNotFound

    def removed_just_now(_job_id):
        monkeypatch.setattr(repository, "get", gone)

    monkeypatch.setattr(repository.logs, "open_reader", removed_just_now)
    if path == "/log":
        assert idle.get(f"/jobs/{job_id}/log").status_code == 404
    else:
        assert idle.events(f"/jobs/{job_id}{path}") == []


def test_an_ordinary_submission_is_taken(tmp_path):
    with running_server(tmp_path, passing, min_free_bytes="1m") as server:
        answer = server.post("/submit-async", honest_zip({"a.py": b"pass\n"}))
        assert answer.status_code == 200


def test_a_manifest_is_refused_as_a_zip_is_and_what_came_with_it_goes(idle, space):
    files = {"test_it.py": b"def test(): pass\n"}
    form = {
        "manifest": (None, manifest_of(files)),
        "file": ("project.zip", pack(*files.values()), "application/zip"),
    }
    answers = iter([None, "others were faster"])
    space.shortage = lambda _wanted=0: next(answers)
    answer = plain_http.post(
        f"{idle.url}/submit-async", files=form, headers={"CI-Scope": SCOPE}, timeout=30
    )
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert idle.left_on_disk() == []
