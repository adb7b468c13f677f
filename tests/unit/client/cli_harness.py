"""What the tests of the command line share."""

from collections.abc import Callable
from typing import Any

from ci_common.events import CompleteEvent, JobIdEvent, LogEvent, StatusEvent
from tests.unit.client.scripted_server import message, stream

JOB = "550e8400-e29b-41d4-a716-446655440000"
VIEW: dict[str, Any] = {
    "job_id": JOB,
    "status": "completed",
    "success": False,
    "start_time": "2026-01-01T10:00:00.000Z",
    "end_time": "2026-01-01T10:01:05.500Z",
    "created_at": "2026-01-01T09:59:59.000Z",
    "reason": "failed",
    "exit_code": 1,
    "detail": None,
    "project": "demo",
    "attempt": 1,
    "priority": 0,
    "position": None,
    "command": "python -m pytest",
    "image": None,
}


class Outcome:
    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out.decode()
        self.err = err.decode()
        self.err_lines = self.err.splitlines()


Ci = Callable[..., Outcome]


def ending(reason: str, exit_code: int | None = 1, detail: str | None = None) -> bytes:
    success = reason == "passed"
    return message(
        CompleteEvent(success=success, exit_code=exit_code, reason=reason, detail=detail), 3
    )


def job_stream(reason: str = "passed", exit_code: int | None = 0, detail: str | None = None) -> Any:
    return stream(
        message(JobIdEvent(JOB), 0),
        message(StatusEvent(status="queued", position=2), 0),
        message(LogEvent("3 passed\n"), 3),
        ending(reason, exit_code, detail),
    )
