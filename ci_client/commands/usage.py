"""`ci usage`: what organisations have of what they may have."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, organisation_option, pass_invocation
from ci_client.table import aligned
from ci_client.terminal import printable

_HEADER = ("ORG", "RUNNING", "QUEUED", "PROJECTS", "ARTIFACTS")


@click.command
@organisation_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> int:
    """Show how many jobs run and wait, and how much is kept, of how much may.

    Of one organisation, or of all that are yours.
    """
    only = invocation.organisation.value
    with invocation.connect() as server:
        names = (
            [only] if only else [each["name"] for each in server.manage("GET", "/organisations")]
        )
        found = [
            server.manage("GET", f"/organisations/{quote(each, safe='')}/usage") for each in names
        ]
    lines = map(json.dumps, found) if as_json else usage_table(found)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not found:
        invocation.terminal.note("there are no organisations, and so no limits")
    return Exit.PASSED


def usage_table(found: list[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each organisation, aligned; nothing for none."""
    return aligned([_HEADER, *map(_row, found)]) if found else []


def _row(usage: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        printable(str(usage["organisation"])),
        _amount(usage["running"], "{:,}".format),
        _amount(usage["queued"], "{:,}".format),
        _amount(usage["project_bytes"], _megabytes),
        _amount(usage["artifact_bytes"], _megabytes),
    )


def _amount(amount: Mapping[str, Any], shown: Callable[[int], str]) -> str:
    used, limit = shown(amount["used"]), amount["limit"]
    return used if limit is None else f"{used} of {shown(limit)}"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"
