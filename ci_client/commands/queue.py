"""`ci queue`: show who is next."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, organisation_option, pass_invocation

if TYPE_CHECKING:
    from ci_client.session import JobDict, Session

_MOST_WATCHED = 1000


@click.command
@json_option
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="At most so many that wait.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and show what changes, until Ctrl-C.")
@organisation_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool, limit: int, watch: bool) -> int:
    """Show the jobs that run and those that wait, in the order of their turns.

    When a job is expected to start or end goes by what the latest jobs of its
    project took.
    """
    from ci_client.table import queue_table

    if watch and limit > _MOST_WATCHED:
        raise click.UsageError(f"--watch shows {_MOST_WATCHED} jobs at most.")
    with invocation.connect() as server:
        if watch:
            _watch(invocation, server, limit, as_json=as_json)
            return Exit.PASSED
        queue = server.queue(limit)
    if as_json:
        invocation.terminal.data(json.dumps(queue, ensure_ascii=False) + "\n")
    else:
        invocation.terminal.data("".join(f"{line}\n" for line in queue_table(queue)))
        invocation.terminal.note(_summary(queue))
    return Exit.PASSED


def _watch(invocation: Invocation, server: "Session", limit: int, *, as_json: bool) -> None:
    from ci_client.interrupts import letting_go
    from ci_client.screen import Screen, can_redraw
    from ci_client.table import queue_table

    screen = Screen(invocation.terminal) if can_redraw() and not as_json else None
    last: Sequence[object] = ()

    def look() -> None:
        nonlocal last
        queue = server.queue(limit)
        if screen is not None:
            screen.draw([*queue_table(queue), _summary(queue)])
        elif (state := _state_of(queue)) != last:
            last = state
            text = json.dumps(queue, ensure_ascii=False) if as_json else _line(queue)
            invocation.terminal.data(text + "\n")

    with letting_go(invocation.terminal, lambda: "stopped; no job is affected"):
        server.look_at_changes(look)


def _state_of(queue: "JobDict") -> Sequence[object]:
    """Return what is worth a line when it changes: times that only go on are not."""
    return [
        queue["counts"],
        queue["waiting"],
        [(job["job_id"], job["waits_for"]) for job in queue["queued"]],
        [(job["job_id"], job["stopping"]) for job in queue["running"]],
    ]


def _line(queue: "JobDict") -> str:
    running = " ".join(str(job["job_id"]) for job in queue["running"]) or "nothing"
    following = f"; next: {queue['queued'][0]['job_id']}" if queue["queued"] else ""
    return f"{_summary(queue)}; running: {running}{following}"


def _summary(queue: Mapping[str, Any]) -> str:
    counts = {name: f"{number:,}" for name, number in queue["counts"].items()}
    text = f"{counts['queued']} queued, {counts['running']} running, room for {counts['capacity']}"
    return f"{text}; {queue['waiting']}" if queue["waiting"] else text
