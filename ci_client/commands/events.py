"""`ci events`: show what happens to jobs, as it happens."""

import json
from collections.abc import Iterable

import click

from ci_client.events import Event
from ci_client.exits import Exit
from ci_client.interrupts import letting_go
from ci_client.invocation import Invocation
from ci_client.options import json_option, organisation_option, pass_invocation
from ci_client.session import Session
from ci_client.terminal import Terminal, printable
from ci_common.errors import JobNotFound

_FULL_ID = 36
_SHORT_ID = 8


@click.command
@click.option("--job", metavar="JOB", help="Only of this job: an id, its beginning, or last.")
@click.option("--project", metavar="NAME", help="Only of jobs of this project.")
@click.option("--submitter", metavar="NAME", help="Only of jobs that this one submitted.")
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    help="Only this, for example job.ended or queue.depth; can be repeated.",
)
@click.option(
    "--after",
    metavar="SEQ",
    type=click.IntRange(min=0),
    help="Begin behind this number; 0 for all that is kept. Default: now.",
)
@click.option("--no-follow", is_flag=True, help="Show what is kept, and leave.")
@organisation_option
@json_option
@pass_invocation
def command(  # noqa: PLR0913 -- each is an option
    invocation: Invocation,
    *,
    job: str | None,
    project: str | None,
    submitter: str | None,
    types: tuple[str, ...],
    after: int | None,
    no_follow: bool,
    as_json: bool,
) -> int:
    """Show what happens to jobs, as it happens.

    Each line begins with the number that --after goes on behind. A connection
    that is lost is taken up again there, so nothing is missed or shown twice.
    """
    shown = _Shown(invocation.terminal, as_json=as_json)
    with (
        letting_go(invocation.terminal, lambda: _left(invocation, shown.last)),
        invocation.connect() as server,
    ):
        filters = {"job_id": _id_of(server, job), "project": project, "submitter": submitter}
        if no_follow:
            shown.show(server.past(filters, types, after or 0))
        else:
            shown.show(server.live(filters, types, after))
    return Exit.PASSED


class _Shown:
    """Shows events; ``last`` is the number of the latest one, None before the first."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        self._terminal = terminal
        self._as_json = as_json
        self.last: int | None = None

    def show(self, events: Iterable[Event]) -> None:
        for event in events:
            self.last = event.get("seq", event.get("resumed", self.last))
            if self._as_json:
                self._terminal.data(json.dumps(event, ensure_ascii=False) + "\n")
            elif event["type"] == "gap":
                self._terminal.note(
                    f"events from {event['after'] + 1} on are not kept any more; "
                    f"it goes on behind {event['resumed']}"
                )
            else:
                self._terminal.data(line_of(event) + "\n")


def line_of(event: Event) -> str:
    """Return an event as a line for people."""
    if event["type"] == "queue.depth":
        return f"{'':19}  queue.depth   {event['queued']} queued, {event['running']} running"
    time = str(event["time"])[11:19]
    facts = [
        str(event.get("job_id"))[:_SHORT_ID],
        event.get("project"),
        event.get("reason"),
        f"attempt {event['attempt']}" if event.get("attempt", 0) > 1 else None,
        event.get("detail"),
    ]
    said = "  ".join(printable(str(fact)) for fact in facts if fact)
    return f"{event['seq']:>8}  {time}Z  {event['type']:<12}  {said}"


def _id_of(server: Session, reference: str | None) -> str | None:
    if reference is None:
        return None
    try:
        return str(server.job(reference)["job_id"])
    except JobNotFound:
        if len(reference) != _FULL_ID:
            raise
        return reference  # its events outlive it


def _left(invocation: Invocation, last: int | None) -> str:
    if last is None:
        return "left; nothing changed"
    return f"left; go on with: {invocation.again('events', '--after', str(last))}"
