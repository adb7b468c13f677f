"""`ci cache`: what the server keeps between jobs."""

import json

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, organisation_option, pass_invocation


@click.group
def command() -> None:
    """Show what the server keeps between jobs, or have it give that up.

    It keeps the dependencies that jobs have installed, so that the next job
    with the same ones starts with them.
    """


@command.command
@organisation_option
@json_option
@pass_invocation
def ls(invocation: Invocation, *, as_json: bool) -> int:
    """Show what is kept, the latest used first."""
    from ci_client.cache_table import cache_table

    with invocation.connect() as server:
        entries = server.cache()
    lines = map(json.dumps, entries) if as_json else cache_table(entries)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not entries:
        invocation.terminal.note("nothing is kept; the next job that installs something changes it")
    return Exit.PASSED


@command.command
@click.option(
    "--older-than",
    metavar="TIME",
    help="Only what no job has used for so long: 7d, 12h, 30m, or seconds.",
)
@organisation_option
@pass_invocation
def prune(invocation: Invocation, *, older_than: str | None) -> int:
    """Have all of it given up: the next job installs its dependencies anew.

    Jobs that run are not affected; what they use is removed when they end.
    """
    from ci_client.cache_table import size
    from ci_client.terminal import count
    from ci_common.quantities import parse_seconds

    try:
        seconds = 0.0 if older_than is None else parse_seconds(older_than)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from error
    with invocation.connect() as server:
        entries = server.prune_cache(older_than=seconds)
    freed = sum(int(entry["size_bytes"]) for entry in entries)
    invocation.terminal.note(f"gave up {count(len(entries), 'snapshot')}, {size(freed)}")
    return Exit.PASSED
