"""`ci logs`: print a job's output."""

from typing import TYPE_CHECKING

import click

from ci_client.exits import Exit
from ci_client.interrupts import letting_go
from ci_client.invocation import Invocation
from ci_client.options import job_argument, pass_invocation

if TYPE_CHECKING:
    from ci_client.session import Session


@click.command
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the job ends.")
@click.option(
    "-n", "--tail", metavar="N", type=click.IntRange(min=1), help="Only the last N lines."
)
@pass_invocation
def command(invocation: Invocation, job: str, *, follow: bool, tail: int | None) -> int:
    """Print the output of JOB as it was written, byte for byte.

    JOB is an id, the beginning of one that fits no other, or `last`. The exit
    code does not depend on the job's verdict; `ci wait` is for that.
    """
    with (
        letting_go(invocation.terminal, lambda: "stopped; the job is not affected"),
        invocation.connect() as server,
    ):
        job_id: str = server.job(job)["job_id"]
        start = 0
        if tail is not None:
            start = server.log_tail_offset(job_id, tail)
        end = start
        for data in server.log(job_id, start):
            invocation.terminal.output(data)
            end += len(data)
        if follow:
            _follow(invocation, server, job_id, end)
    return Exit.PASSED


def _follow(invocation: Invocation, server: "Session", job_id: str, offset: int) -> None:
    for event in server.follow(job_id, offset=offset):
        if event["type"] == "log":
            invocation.terminal.output(event["data"])
