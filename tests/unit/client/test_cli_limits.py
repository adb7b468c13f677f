"""`ci` towards a server that takes no more requests for now."""

import pytest

from tests.unit.client.cli_harness import VIEW, Ci, job_stream
from tests.unit.client.scripted_server import Script, answer, problem

PASSED = VIEW | {"success": True, "reason": "passed", "exit_code": 0}


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        (["status", "last"], answer(PASSED)),
        (["list"], answer([PASSED])),
        (["cancel", "last"], answer(VIEW | {"status": "cancelled", "reason": "cancelled"})),
        (["submit", "."], job_stream()),
    ],
)
def test_it_waits_as_long_as_it_is_told_and_says_so(
    ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch, project, arguments, reply
) -> None:
    monkeypatch.chdir(project)
    refusal = problem(429, "rate_limited", "too many", Retry_After="0")
    script.will(refusal, refusal, reply)
    outcome = ci(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("the server takes no more requests from here for now") == 1
    assert len(script.seen) == 3


def test_it_says_which_quota_it_waits_for(
    ci: Ci, script: Script, monkeypatch: pytest.MonkeyPatch, project
) -> None:
    monkeypatch.chdir(project)
    full = "the organisation has 3 jobs queued, and may have 3"
    script.will(problem(429, "quota_exceeded", full, Retry_After="0"), job_stream())
    outcome = ci("submit", ".")
    assert outcome.code == 0, outcome.err
    assert f"{full}; waiting…" in outcome.err


def test_it_does_not_wait_for_ever(ci: Ci, script: Script) -> None:
    script.will(problem(429, "rate_limited", "more than 3 reads in 60 seconds", Retry_After="600"))
    outcome = ci("status", "last")
    assert outcome.code == 3
    assert "more than 3 reads in 60 seconds" in outcome.err
    assert "do it better" in outcome.err
    assert len(script.seen) == 1
