"""`ci wait`: follow a job to its end."""

from __future__ import annotations

from ci_client.interrupts import letting_go
from ci_client.lines import JOB, JSON, PASSTHROUGH, Flag, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ci_client.events import Event
    from ci_client.invocation import Invocation
    from ci_client.watch import Watch


def wait(
    invocation: Invocation,
    job: str,
    *,
    from_beginning: bool,
    as_json: bool,
    passthrough_exit: bool,
) -> int:
    """Follow JOB to its end and exit with its verdict.

    JOB is an id, the beginning of one that fits no other, or `last`. What the
    job says from now on is shown, or everything with --all.
    """
    from ci_client.watch import Watch

    watch = Watch(invocation.terminal, "", invocation.way_back_to, as_json=as_json)
    with letting_go(invocation.terminal, lambda: f"left; {watch.way_back or 'nothing changed'}"):
        complete = _follow(invocation, job, watch, from_beginning=from_beginning)
    from ci_client.exits import exit_of_result

    return exit_of_result(complete, passthrough=passthrough_exit)


command = Line(
    wait,
    JOB,
    Flag("--all", "from_beginning", "Show its output from the beginning."),
    JSON,
    PASSTHROUGH,
)


def _follow(invocation: Invocation, job: str, watch: Watch, *, from_beginning: bool) -> Event:
    from ci_client.verdict import next_step, seconds_of

    with invocation.connect() as server:
        # Once: on a reconnect "last" could already be another job.
        job_id: str = server.job(job)["job_id"]
        watch.begin(job_id)
        complete = watch.show(server.follow(job_id, from_beginning=from_beginning))
        ended = server.job(job_id)
    step = next_step(complete, job_id, invocation.again)
    counts = ""
    if ended.get("tests"):
        from ci_client.table import counts_of

        counts = counts_of(ended)
    watch.conclude(complete, seconds_of(ended), step, counts)
    return complete
