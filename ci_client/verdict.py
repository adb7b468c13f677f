"""A job's end in one line."""

from __future__ import annotations

from ci_client.exits import reason_of
from ci_client.terminal import duration, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ci_client.terminal import Terminal

    Again = Callable[..., str]
    """Turns the words of a command into a line that can be typed."""


def verdict_line(
    terminal: Terminal,
    complete: Mapping[str, Any],
    seconds: float | None,
    step: str,
    counts: str = "",
) -> str:
    """Return the last line: verdict, duration, tests, and the next ``step``, if there is one."""
    reason = reason_of(complete)
    colour = "green" if reason == "passed" else "red"
    verdict = terminal.paint(_VERDICTS[reason](complete), colour)
    took = "" if seconds is None else f" in {duration(seconds)}"
    why = f": {printable(str(complete['detail']))}" if complete.get("detail") else ""
    then = f" · {step}" if step else ""
    tests = f" ({counts})" if counts else ""
    return f"{terminal.mark(good=reason == 'passed')} {verdict}{tests}{took}{why}{then}"


def next_step(complete: Mapping[str, Any], job_id: str, again: Again) -> str:
    """Return what helps after this end."""
    return _NEXT_STEPS.get(reason_of(complete), _see_log)(job_id, again)


def state_of(job: Mapping[str, Any]) -> str:
    """Return where a job is in its life, and how it ended, in a word or two."""
    if job.get("reason"):
        return str(job["reason"]).replace("_", " ")
    if job.get("stopping"):
        return f"{job['status']}, being stopped"
    position = job.get("position")
    return f"{job['status']} #{position}" if position else str(job["status"])


def seconds_of(job: Mapping[str, Any]) -> float | None:
    """Return how many seconds a job ran, None while it has not ended or if it never ran.

    None also where the server's clock was set back meanwhile.
    """
    from datetime import datetime

    start, end = job.get("start_time"), job.get("end_time")
    if not start or not end:
        return None
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return seconds if seconds >= 0 else None


def _failed(complete: Mapping[str, Any]) -> str:
    exit_code = complete.get("exit_code")
    return "failed" if exit_code is None else f"failed (exit code {exit_code})"


_VERDICTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "passed": lambda _: "passed",
    "failed": _failed,
    "no_tests": lambda _: "no tests were found",
    "oom_killed": lambda _: "ran out of memory",
    "timed_out": lambda _: "timed out",
    "cancelled": lambda _: "cancelled",
    "queue_timed_out": lambda _: "timed out in the queue",
    "infra_error": lambda _: "could not be run (not the tests' fault)",
}


def _see_log(job_id: str, again: Again) -> str:
    return f"output again: {again('logs', job_id)}"


_NEXT_STEPS: Mapping[str, Callable[[str, Again], str]] = {
    "no_tests": lambda _, again: f"say what to run: {again('submit', '--', 'COMMAND')}",
    "oom_killed": lambda _job_id, _again: "raise `memory` in [tool.ci]",
    "timed_out": lambda _job_id, _again: "raise `timeout` in [tool.ci]",
    "queue_timed_out": lambda job_id, again: f"once more: {again('retry', job_id)}",
    "infra_error": lambda _, again: f"find out more: {again('doctor')}",
}
