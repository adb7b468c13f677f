"""`ci list`: show the latest jobs."""

import json

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, pass_invocation


@click.command
@json_option
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many.",
)
@pass_invocation
def command(invocation: Invocation, *, as_json: bool, limit: int) -> int:
    """Show the latest jobs, the newest first."""
    from ci_client.table import jobs_table

    with invocation.connect() as server:
        jobs = server.jobs(limit)
    lines = map(json.dumps, jobs) if as_json else jobs_table(jobs)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not jobs:
        invocation.terminal.note(f"no jobs yet; start one with: {invocation.again('submit')}")
    return Exit.PASSED
