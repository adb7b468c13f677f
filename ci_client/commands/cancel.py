"""`ci cancel`: stop a job."""

from __future__ import annotations

from ci_client.exits import Exit
from ci_client.interrupts import letting_go
from ci_client.lines import JOB, Flag, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ci_client.invocation import Invocation
    from ci_client.session import Session


def cancel(invocation: Invocation, job: str, *, no_wait: bool) -> int:
    """Cancel JOB, and wait until nothing of it runs any more.

    JOB is an id, the beginning of one that fits no other, or `last`. A job that
    runs gets SIGTERM, and SIGKILL if it does not end by itself. Cancelling a
    job again changes nothing; one that has ended otherwise is exit code 2.
    """
    terminal = invocation.terminal
    with (
        letting_go(terminal, lambda: "left; what the server was asked for it does"),
        invocation.connect() as server,
    ):
        found = server.cancel(job)
        job_id: str = found["job_id"]
        if found["status"] == "cancelled":
            terminal.note(f"job {job_id} is cancelled")
        elif no_wait:
            back = invocation.again("wait", job_id)
            terminal.note(f"job {job_id} is being stopped; it is over when this ends: {back}")
        else:
            terminal.note(f"job {job_id} is being stopped")
            _wait(server, job_id)
            terminal.note(f"job {job_id} is cancelled")
    return Exit.PASSED


command = Line(
    cancel, JOB, Flag("--no-wait", "no_wait", "Leave once the server has taken the request.")
)


def _wait(server: Session, job_id: str) -> None:
    """Return when the job is cancelled.

    Raises:
        InvalidTransition: it ended otherwise before it could be stopped.

    """
    from ci_client.exits import reason_of
    from ci_common.errors import InvalidTransition

    *_, complete = (event for event in server.follow(job_id) if event["type"] == "complete")
    reason = reason_of(complete)
    if reason != "cancelled":
        raise InvalidTransition(f"job {job_id} ended before it could be stopped: {reason}")
