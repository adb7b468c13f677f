"""`ci retry`: run a job again."""

from __future__ import annotations

from ci_client.interrupts import letting_go
from ci_client.lines import (
    JOB,
    JOB_OPTIONS,
    JSON,
    ORGANISATION,
    PASSTHROUGH,
    Flag,
    Line,
    fields_in,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ci_client.events import Event
    from ci_client.invocation import Invocation
    from ci_client.job_options import Fields
    from ci_client.watch import Watch


def retry(
    invocation: Invocation,
    job: str,
    *,
    failed: bool,
    detached: bool,
    as_json: bool,
    passthrough_exit: bool,
    organisation: str | None,
    **options: object,
) -> int:
    """Run JOB's project again, as it was sent then, and watch it.

    JOB is an id, the beginning of one that fits no other, or `last`; it must
    have ended. Options change what was said with it. The server keeps the
    projects of ended jobs for a while; later, submit it again.
    """
    from ci_client.watch import Watch

    invocation = invocation.inside(invocation.directory, organisation)
    terminal = invocation.terminal
    watch = Watch(terminal, "", invocation.way_back_to, as_json=as_json)
    fields = fields_in(options)
    with letting_go(terminal, lambda: f"left; {watch.way_back or 'nothing was submitted'}"):
        complete = _retry(invocation, job, fields, watch, failed=failed, detached=detached)
    from ci_client.exits import Exit, exit_of_result

    return exit_of_result(complete, passthrough=passthrough_exit) if complete else Exit.PASSED


command = Line(
    retry,
    JOB,
    Flag("--failed", "failed", "Run only the tests that failed (of jobs that ran pytest)."),
    Flag("--async", "detached", "Print the new job's id and leave."),
    JSON,
    PASSTHROUGH,
    ORGANISATION,
    *JOB_OPTIONS,
)


def _retry(
    invocation: Invocation, job: str, fields: Fields, watch: Watch, *, failed: bool, detached: bool
) -> Event | None:
    """Retry; return how the new job ended, None if that is not waited for."""
    from ci_client.commands.submit import answer
    from ci_client.verdict import next_step

    with invocation.connect() as server:
        job_id: str = server.retry(job, fields, failed_only=failed)["job_id"]
        watch.begin(job_id)
        if detached:
            invocation.terminal.data(answer(job_id, as_json=watch.as_json))
            return None
        complete = watch.show(server.follow(job_id, from_beginning=True))
    watch.conclude(complete, watch.seconds, next_step(complete, job_id, invocation.again))
    return complete
