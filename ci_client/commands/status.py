"""`ci status`: show one job."""

import json

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import job_argument, pass_invocation


@click.command
@job_argument
@click.option("--json", "as_json", is_flag=True, help="All that is known, as a JSON object.")
@pass_invocation
def command(invocation: Invocation, job: str, *, as_json: bool) -> int:
    """Show where JOB is in its life.

    JOB is an id, the beginning of one that fits no other, or `last`.
    """
    from ci_client.table import job_lines

    with invocation.connect() as server:
        found = server.job(job)
    if as_json:
        invocation.terminal.data(json.dumps(found, ensure_ascii=False) + "\n")
    else:
        invocation.terminal.data("".join(f"{line}\n" for line in job_lines(found)))
    return Exit.PASSED
