"""Ctrl-C: the first one lets go in good order, the second one ends everything."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ci_client.exits import Exit
from ci_client.terminal import Terminal


@contextmanager
def letting_go(terminal: Terminal, explain: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C into ``explain()`` and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, lambda *_: os._exit(Exit.INTERRUPTED))
        terminal.note(explain())
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None
