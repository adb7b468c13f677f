"""From the words of a command line to an exit code."""

from __future__ import annotations

import os

from ci_client.commands import COMMANDS, load
from ci_client.invocation import Invocation
from ci_client.lines import Line
from ci_client.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; whatever fails is told in plain words."""
    try:
        call = plain_call(arguments)
        if call is not None:
            return call()
        from ci_client.group import call_by_click

        return call_by_click(arguments)
    except BaseException as error:  # noqa: BLE001 -- the last place that can say it politely
        from ci_client.failures import explain

        return explain(error)


def plain_call(arguments: list[str]) -> Callable[[], int] | None:
    """Return the call that a line asks for; None when it takes click to tell.

    Importing click takes longer than all that happens before the request is
    sent, so the lines that are typed all day do without it.
    """
    if not arguments or arguments[0] not in COMMANDS or "_CI_COMPLETE" in os.environ:
        return None
    line = load(arguments[0])
    parameters = line.read(arguments[1:]) if isinstance(line, Line) else None
    if parameters is None:
        return None
    invocation = Invocation(None, None, Terminal(), os.getcwd(), os.environ)
    return lambda: line.run(invocation, **parameters)
