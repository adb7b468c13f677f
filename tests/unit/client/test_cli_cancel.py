"""`ci cancel`, called in this process."""

import pytest

from ci_client.client import cancel_job
from ci_common.errors import InvalidTransition
from ci_common.events import LogEvent
from tests.unit.client.cli_harness import JOB, VIEW, Ci, ending
from tests.unit.client.scripted_server import Script, answer, message, problem, stream

CANCELLED = VIEW | {"status": "cancelled", "reason": "cancelled", "exit_code": None}
STOPPING = VIEW | {"status": "running", "reason": None, "success": None, "stopping": "cancelled"}


def test_what_is_stopped_at_once_needs_no_waiting(ci: Ci, script: Script) -> None:
    script.will(answer(CANCELLED))
    outcome = ci("cancel", "last")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"job {JOB} is cancelled\n"
    assert [(seen.method, seen.path) for seen in script.seen] == [("DELETE", "/api/v1/jobs/last")]


def test_a_running_job_is_waited_for(ci: Ci, script: Script) -> None:
    script.will(
        answer(STOPPING, 202), stream(message(LogEvent("bye\n"), 4), ending("cancelled", 143))
    )
    outcome = ci("cancel", "550e")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err_lines == [f"job {JOB} is being stopped", f"job {JOB} is cancelled"]
    assert script.seen[1].path == f"/jobs/{JOB}/stream?from_beginning=false"


def test_it_can_be_left_to_the_server(ci: Ci, script: Script) -> None:
    script.will(answer(STOPPING, 202))
    outcome = ci("cancel", "last", "--no-wait")
    assert outcome.code == 0
    assert f"ci wait {JOB}" in outcome.err
    assert len(script.seen) == 1


def test_one_that_ended_by_itself_meanwhile(ci: Ci, script: Script) -> None:
    script.will(answer(STOPPING, 202), stream(ending("passed", 0)))
    outcome = ci("cancel", "last")
    assert outcome.code == 2
    assert "ended before it could be stopped: passed" in outcome.err


def test_one_that_had_ended(ci: Ci, script: Script) -> None:
    script.will(problem(409, "invalid_transition", "job x has ended already: failed"))
    outcome = ci("cancel", "last")
    assert outcome.code == 2
    assert "ended already: failed" in outcome.err


def test_a_server_named_with_the_prefix(ci: Ci, script: Script) -> None:
    script.will(answer(CANCELLED))
    assert ci("--server", f"{script.url}/api/v1", "cancel", "last").code == 0
    assert script.seen[0].path == "/api/v1/jobs/last"


def test_a_job_being_stopped_shows_as_such(ci: Ci, script: Script) -> None:
    script.will(answer(STOPPING))
    assert "running, being stopped" in ci("status", "last").out


def test_whoever_waits_for_it_exits_with_7(ci: Ci, script: Script) -> None:
    script.will(answer(VIEW), stream(ending("cancelled", 143)), answer(CANCELLED))
    outcome = ci("wait", "last")
    assert outcome.code == 7
    assert "cancelled" in outcome.err_lines[-1]


def test_from_python(script: Script) -> None:
    script.will(answer(STOPPING, 202))
    assert cancel_job("last", server_url=script.url) == STOPPING
    script.will(problem(409, "invalid_transition", "job x has ended already: failed"))
    with pytest.raises(InvalidTransition, match="already"):
        cancel_job("last", server_url=script.url)
