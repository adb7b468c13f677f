"""`ci admin audit`: who did what, as the server has written it down."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_client.admin.data import built, server_settings
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation
from ci_client.table import aligned, time_of
from ci_client.terminal import printable

if TYPE_CHECKING:
    from ci_server.settings import Settings

_HEADER = ("WHEN", "WHO", "FROM", "ACTION", "SUBJECT", "ORG", "DETAIL")


@click.command
@click.option("--since", metavar="TIME", help="Only from then on: a time, a day, or 2h, 7d.")
@click.option("--until", metavar="TIME", help="Only before: a time, a day, or 2h, 7d.")
@click.option("--actor", metavar="WHO", help="Only what this user did: its name or id.")
@click.option("--action", metavar="ACTION", help="Only this: key.revoke, or key for all of keys.")
@click.option("--org", "organisation", metavar="ORG", help="Only what concerns this one.")
@click.option("--refused", is_flag=True, help="Only what was refused.")
@click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option("--verify", is_flag=True, help="Look whether the log is as it was written.")
@click.option("--known", metavar="SEQ:DIGEST", help="With --verify: what that has printed before.")
@json_option
@data_dir_option
@pass_invocation
def audit(
    invocation: Invocation,
    /,
    *,
    verify: bool,
    known: str | None,
    as_json: bool,
    data_dir: Path | None,
    **asked: Any,  # noqa: ANN401 -- options
) -> int:
    """Show who did what, from where, the latest first.

    --verify goes over the whole log and prints its latest entry as SEQ:DIGEST:
    kept somewhere else, it shows later whether anything was cut off. Exit
    code 1 when the log was changed.
    """
    settings = server_settings(data_dir)
    if known is not None and not verify:
        raise click.UsageError("--known is for --verify.")
    if verify:
        return _verify(invocation, settings, known, as_json=as_json)
    entries = _entries(settings, **asked)
    lines = map(json.dumps, entries) if as_json else audit_table(entries)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not entries:
        invocation.terminal.note("there is nothing like that")
    return Exit.PASSED


def _entries(
    settings: "Settings",
    *,
    organisation: str | None,
    refused: bool,
    limit: int,
    **asked: Any,  # noqa: ANN401 -- options
) -> list[Mapping[str, Any]]:
    from ci_common.audit import Outcome
    from ci_common.clock import SystemClock
    from ci_server.audit_query import asked_entries
    from ci_server.audit_tools import audit_entries

    outcome = Outcome.REFUSED if refused else None
    wanted = asked_entries(**asked, outcome=outcome, now=SystemClock().now().wall)
    found = audit_entries(settings, wanted, limit=limit, organisation=organisation)
    return [built(each) for each in found]


def _verify(
    invocation: Invocation, settings: "Settings", known: str | None, *, as_json: bool
) -> int:
    from ci_server.audit_tools import ChainBroken, known_head, verify_audit

    terminal = invocation.terminal
    try:
        head = verify_audit(settings, None if known is None else known_head(known))
    except ChainBroken as broken:
        facts = {"whole": False, "seq": broken.seq, "what": broken.what}
        terminal.data(json.dumps(facts) + "\n" if as_json else f"✗ {broken.what}\n")
        terminal.note("somebody has changed the log beside the server; a backup may have it whole")
        return Exit.JOB_FAILED
    digest = head.digest.hex()
    facts = {"whole": True, "seq": head.seq, "digest": digest}
    terminal.data(json.dumps(facts) + "\n" if as_json else f"{head.seq}:{digest}\n")
    entries = "1 entry is" if head.seq == 1 else f"{head.seq:,} entries are"
    terminal.note(f"{entries} as they were written; keep the line above where the server is not")
    return Exit.PASSED


def audit_table(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each entry, aligned; nothing for none."""
    return aligned([_HEADER, *map(_row, entries)]) if entries else []


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    refused = " (refused)" if entry["outcome"] == "refused" else ""
    who = entry["actor"] or entry["actor_id"] or "-"
    texts = (
        who,
        entry["address"] or entry["credential"],
        f"{entry['action']}{refused}",
        entry["subject"],
        entry["organisation"],
        entry["detail"],
    )
    return (time_of(entry["at"]), *(printable(str(text)) for text in texts))
