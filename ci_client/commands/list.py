"""`ci list`: show jobs."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.job_query import REASONS, SORTS, STATUSES
from ci_client.options import json_option, organisation_option, pass_invocation

if TYPE_CHECKING:
    from ci_client.session import JobDict, Session

DEFAULT_LIMIT = 20
_MOST_WATCHED = 1000

Command = Callable[..., Any]


def _several(name: str, text: str, kind: Any = None, metavar: str | None = None) -> Any:  # noqa: ANN401
    return click.option(f"--{name}", name, multiple=True, type=kind, metavar=metavar, help=text)


def _filters(command: Command) -> Command:
    """Give a command the options that say which jobs."""
    for option in reversed(
        (
            _several("status", "In this state; may be repeated.", click.Choice(STATUSES)),
            click.option(
                "--success/--no-success", "success", default=None, help="That passed, or did not."
            ),
            _several("reason", "Ended so; may be repeated.", click.Choice(REASONS)),
            _several("project", "Of this project; may be repeated.", metavar="NAME"),
            _several("submitter", "Sent by this one; may be repeated.", metavar="NAME"),
            _several("label", "With this label; repeated: all of them.", metavar="NAME[=VALUE]"),
            _several("group", "Of this concurrency group; may be repeated.", metavar="NAME"),
            click.option(
                "--since", metavar="TIME", help="Submitted since: 2h, 7d, 2026-01-31T12:00:00Z."
            ),
            click.option("--until", metavar="TIME", help="Submitted before."),
            _several("text", "With this text somewhere; repeated: all of them.", metavar="TEXT"),
            click.option(
                "--sort",
                type=click.Choice(SORTS),
                help="The order, - for the largest first. Default: -created.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command
@json_option
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"At most so many. Default: {DEFAULT_LIMIT}.",
)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("-w", "--watch", is_flag=True, help="Go on, and show what changes, until Ctrl-C.")
@organisation_option
@_filters
@pass_invocation
def command(
    invocation: Invocation,
    /,
    *,
    as_json: bool,
    limit: int | None,
    everything: bool,
    watch: bool,
    **filters: Any,  # noqa: ANN401 -- those of _filters
) -> int:
    """Show jobs, the newest first: the latest, or those that fit all that is asked for."""
    if everything and (limit is not None or watch):
        raise click.UsageError("--all goes with neither --limit nor --watch.")
    if watch and (limit or 0) > _MOST_WATCHED:
        raise click.UsageError(f"--watch shows {_MOST_WATCHED} jobs at most.")
    asked = {name: given for name, given in filters.items() if given not in {None, ()}}
    most = None if everything else limit or DEFAULT_LIMIT
    with invocation.connect() as server:
        if watch:
            _watch(invocation, server, most or DEFAULT_LIMIT, asked, as_json=as_json)
        else:
            _show(invocation, server.jobs(most, **asked), asked, as_json=as_json)
    return Exit.PASSED


def _show(
    invocation: Invocation, jobs: "list[JobDict]", asked: Mapping[str, Any], *, as_json: bool
) -> None:
    from ci_client.table import jobs_table

    lines = map(json.dumps, jobs) if as_json else jobs_table(jobs)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not jobs and set(asked) - {"sort"}:
        invocation.terminal.note("no job fits all of that")
    elif not jobs:
        invocation.terminal.note(f"no jobs yet; start one with: {invocation.again('submit')}")


def _watch(
    invocation: Invocation,
    server: "Session",
    limit: int,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    from ci_client.interrupts import letting_go
    from ci_client.listing import ListWatch
    from ci_client.table import jobs_table
    from ci_common.errors import JobNotFound

    def current(job: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return server.job(str(job["job_id"]))
        except JobNotFound:
            return job

    watching = ListWatch(invocation.terminal, jobs_table, current, as_json=as_json)

    def look() -> None:
        jobs = server.jobs(limit, **asked)
        watching.show(jobs, full=len(jobs) == limit)

    with letting_go(invocation.terminal, lambda: "stopped; no job is affected"):
        server.look_at_changes(look)
