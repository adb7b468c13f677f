"""Cancelling over HTTP: what is stopped, what is only asked for, and what readers see of it."""

import httpx2
import pytest

from ci_common.jobs import EndReason
from tests import plain_http
from tests.contract.http_harness import running_server


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path) as running:
        yield running


def cancel(server, reference: str, **options) -> httpx2.Response:
    return plain_http.delete(f"{server.url}/api/v1/jobs/{reference}", timeout=30, **options)


def state_of(answer: httpx2.Response) -> tuple[object, ...]:
    job = answer.json()
    return answer.status_code, job["status"], job["stopping"], job["reason"]


def test_a_queued_job_is_stopped_at_once_and_its_zip_stays_for_a_retry(server):
    job_id = server.submit()
    answer = cancel(server, job_id)
    assert state_of(answer) == (200, "cancelled", None, "cancelled")
    assert answer.json() == server.get(f"/jobs/{job_id}").json()
    assert server.left_on_disk() == [f"{job_id}.zip"]


def test_its_zip_goes_where_none_is_kept(tmp_path):
    with running_server(tmp_path, keep_projects_for="0") as server:
        assert cancel(server, server.submit()).status_code == 200
        assert server.left_on_disk() == []


def test_a_running_job_is_asked_to_stop_and_then_stopped(server):
    job = server.claim(server.submit())
    answer = cancel(server, job.id)
    assert state_of(answer) == (202, "running", "cancelled", None)
    assert server.get(f"/jobs/{job.id}").json()["stopping"] == "cancelled"
    assert state_of(cancel(server, job.id)) == (202, "running", "cancelled", None)
    server.finish(job, EndReason.CANCELLED, exit_code=143)
    again = cancel(server, job.id)
    assert state_of(again) == (200, "cancelled", None, "cancelled")
    assert again.json()["exit_code"] == 143


def test_one_that_is_being_stopped_for_its_time_limit_says_so(server):
    job = server.claim(server.submit())
    server.call(server.parts.repository.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT))
    assert state_of(cancel(server, job.id)) == (202, "running", "timed_out", None)


def test_one_that_has_ended_by_itself_is_refused(server):
    job_id = server.ended(b"ok\n")
    answer = cancel(server, job_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    assert "passed" in answer.json()["detail"]
    assert server.get(f"/jobs/{job_id}").json()["success"] is True


def test_a_prefix_and_last_name_a_job(server):
    first, second = server.submit(), server.submit()
    assert cancel(server, "last").json()["job_id"] == second
    assert cancel(server, first[:13]).json()["job_id"] == first


def test_an_unknown_job(server):
    assert cancel(server, "no-such").status_code == 404


def test_a_page_of_another_site_may_not(server):
    job_id = server.submit()
    answer = cancel(server, job_id, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert server.get(f"/jobs/{job_id}").json()["status"] == "queued"


def test_readers_of_a_queued_job_are_told_and_those_behind_it_move_up(server):
    first, second = server.submit(), server.submit()
    with (
        server.stream(f"/jobs/{first}/stream") as its,
        server.stream(f"/jobs/{second}/stream") as others,
    ):
        assert next(its)[1]["position"] == 1
        assert next(others)[1]["position"] == 2
        cancel(server, first)
        (_, complete), (_, moved) = next(its), next(others)
    assert (complete["type"], complete["reason"]) == ("complete", "cancelled")
    assert (complete["success"], complete["exit_code"]) == (False, None)
    assert moved["position"] == 1


def test_readers_of_a_running_job_are_told_when_it_is_stopped(server):
    job = server.claim(server.submit())
    with server.stream(f"/jobs/{job.id}/stream?from_beginning=true") as reader:
        assert next(reader)[1]["status"] == "running"
        cancel(server, job.id)
        server.write(job, b"last words\n")
        assert next(reader)[1] == {"type": "log", "data": "last words\n"}
        server.finish(job, EndReason.CANCELLED, exit_code=143)
        assert next(reader)[1]["reason"] == "cancelled"


def test_the_controller_is_woken(server):
    """Without it a running job would live on for up to a tick of the controller."""
    job = server.claim(server.submit())
    woken = server.call(_woken_by(server, job.id))
    assert "queue" in woken


async def _woken_by(server, job_id) -> frozenset[str]:
    with server.parts.signals.subscribe("queue") as subscription:
        await server.parts.control.cancel(job_id)
        return await subscription.wait(30)


def test_without_the_prefix_there_is_no_such_method(server):
    answer = plain_http.delete(f"{server.url}/jobs/{server.submit()}")
    assert answer.status_code == 405
