"""The plain functions, used as scripts use them."""

import asyncio
import inspect
import io
import logging
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ci_client.client import (
    create_project_zip,
    get_job,
    list_jobs,
    submit_tests_async,
    submit_tests_streaming,
    wait_for_job,
)
from ci_common.errors import InvalidRequest, ServerUnreachable
from ci_common.events import CompleteEvent, JobIdEvent, LogEvent
from tests.unit.client.scripted_server import Script, answer, message, stream

JOB = "550e8400-e29b-41d4-a716-446655440000"
PASSED = message(CompleteEvent(success=True, exit_code=0, reason="passed"), 3)
WHOLE = stream(message(JobIdEvent(JOB), 0), message(LogEvent("abc"), 3), PASSED)


def test_the_zip_is_a_file_with_the_project(project: Path) -> None:
    with create_project_zip(project) as archive, zipfile.ZipFile(archive) as content:
        assert content.namelist() == ["test_demo.py"]
    with create_project_zip(str(project)) as archive:
        assert archive.read(4) == b"PK\x03\x04"


def test_an_empty_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest):
        create_project_zip(tmp_path / "empty")


def test_what_is_left_out_is_logged(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / "out").symlink_to("/etc")
    with caplog.at_level(logging.WARNING, "ci_client"):
        create_project_zip(project).close()
    assert "out is left out" in caplog.text


def test_a_submission_streams_its_events(script: Script, project: Path) -> None:
    script.will(WHOLE)
    events = submit_tests_streaming(project, server_url=script.url, api_key="k")
    assert inspect.isgenerator(events)
    assert [event["type"] for event in events] == ["job_id", "log", "complete"]
    (seen,) = script.seen
    assert seen.headers["authorization"] == "Bearer k"
    uploaded = seen.body.split(b"application/zip\r\n\r\n")[1]
    with zipfile.ZipFile(io.BytesIO(uploaded)) as content:
        assert content.namelist() == ["test_demo.py"]


def test_leaving_the_stream_early_leaves_nothing_open(script: Script, project: Path) -> None:
    script.will(stream(message(JobIdEvent(JOB), 0), ending="open"))
    events = submit_tests_streaming(project, server_url=script.url)
    assert next(events) == {"type": "job_id", "job_id": JOB}
    events.close()  # with warnings as errors: no socket, loop or file stays behind


def test_no_temporary_file_is_left(
    script: Script, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    script.will(WHOLE)
    list(submit_tests_streaming(project, server_url=script.url))
    assert list(temporary.iterdir()) == []


def test_an_asynchronous_submission_returns_its_id(script: Script, project: Path) -> None:
    script.will(answer({"job_id": JOB}))
    assert submit_tests_async(project, server_url=script.url) == JOB


def test_waiting_resolves_the_reference_once(script: Script) -> None:
    script.will(answer({"job_id": JOB}), stream(PASSED))
    events = list(wait_for_job("last", server_url=script.url, from_beginning=True))
    assert events[-1]["type"] == "complete"
    assert [seen.path for seen in script.seen] == [
        "/jobs/last",
        f"/jobs/{JOB}/stream?from_beginning=true",
    ]


def test_waiting_shows_what_is_new_unless_told_otherwise(script: Script) -> None:
    script.will(answer({"job_id": JOB}), stream(PASSED))
    list(wait_for_job(JOB, server_url=script.url))
    assert script.seen[1].path.endswith("from_beginning=false")


def test_jobs_are_dictionaries(script: Script) -> None:
    jobs: list[dict[str, Any]] = [{"job_id": JOB, "status": "running", "success": None}]
    script.will(answer(jobs))
    assert list_jobs(server_url=script.url) == jobs
    script.will(answer(jobs[0]))
    assert get_job(JOB, server_url=script.url) == jobs[0]


def test_no_server_is_an_error_of_ours(project: Path, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(ServerUnreachable):
        list(submit_tests_streaming(project, server_url=url))
    with pytest.raises(ServerUnreachable):
        list_jobs(server_url=url)


async def test_they_work_where_a_loop_is_running_already(script: Script, project: Path) -> None:
    asyncio.get_running_loop()
    script.will(WHOLE)
    events = list(submit_tests_streaming(project, server_url=script.url))
    assert events[-1]["success"] is True
