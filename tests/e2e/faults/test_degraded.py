"""Degraded, not dead: without its engine the server takes jobs, says why they wait, and goes on."""

import json

import pytest

from tests.waiting import eventually


def without(engine, server):
    """End the engine and wait until the server knows."""
    engine.terminate()
    eventually(lambda: server.get("/ready").status_code == 503, what="the server is degraded")


@pytest.fixture
def statuses():
    """Read the ``status`` events of a stream, as far as wanted."""
    opened = []

    def read(server, job_id: str):
        stream = server.events(f"/jobs/{job_id}/stream?from_beginning=true")
        opened.append(stream)
        return (event for _, event in stream if event["type"] == "status")

    yield read
    for stream in opened:
        stream.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_wait_for_the_engine(own_engine, server_on, project, statuses, workers):
    """Fault 14: through every worker alike, whichever of them is the controller."""
    server = server_on()
    server.workers = workers
    server.start()
    without(own_engine, server)
    job_id = server.submit(project())
    streams = [statuses(server, job_id) for _ in range(6)]
    for stream in streams:
        waits = next(event for event in stream if "waiting" in event)
        assert (waits["status"], waits["position"]) == ("queued", 1)
        assert waits["waiting"].startswith("waiting for the engine: ")
    assert server.job(job_id)["waiting"] == waits["waiting"]
    answers = [server.get("/ready") for _ in range(6)]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["problems"]["engine"] for answer in answers} != {""}
    own_engine.start()
    for stream in streams:
        assert "waiting" not in list(stream)[-1]
    job = server.until(job_id, "completed")
    assert (job["reason"], job["attempt"], job["waiting"]) == ("passed", 1, None)
    eventually(lambda: server.get("/ready").status_code == 200, what="the server is well")


def test_who_submits_is_told_once_and_again_when_it_is_over(own_engine, server_on, project):
    server = server_on().start()
    without(own_engine, server)
    with server.ci_process("submit", str(project().path)) as process:
        told = next(line for line in process.stderr if b"waiting" in line)
        assert told.startswith(b"waiting for the engine: ")
        own_engine.start()
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, b"hello\n" in output) == (0, True)
    assert errors.count(b"waiting for the engine") == 0
    assert errors.count(b"the engine answers again") == 1


def test_who_waits_for_a_running_job_is_told_too(own_engine, server_on, waiting):
    server = server_on(engine_timeout="2").start()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    with server.ci_process("wait", "--all", "--json", job_id) as process:
        events = (json.loads(line) for line in process.stdout)
        assert "started\n" in next(e["data"] for e in events if "started" in e.get("data", ""))
        own_engine.suspend()
        assert next(e for e in events if "waiting" in e)["status"] == "running"
        own_engine.resume()
        own_engine.go(job_id)
        assert list(events)[-1]["success"] is True
        assert process.wait(60) == 0
        assert b"waiting for the engine" in process.stderr.read()


def test_the_status_of_a_waiting_job_says_so(own_engine, server_on, project):
    server = server_on().start()
    without(own_engine, server)
    job_id = server.submit(project())
    assert b"waiting for the engine" in server.ci("status", job_id).stdout
