"""Ctrl-C: the first one lets go in good order, the second one ends everything."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ci_client.exits import Exit
from ci_client.terminal import Terminal

NUDGE_INTERVAL = 0.25
"""Seconds after which a Ctrl-C that came at a bad moment is noticed."""


@contextmanager
def letting_go(terminal: Terminal, explain: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C into ``explain()`` and exit code 130. For the main thread."""
    try:
        with _nudged():
            yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, lambda *_: os._exit(Exit.INTERRUPTED))
        terminal.note(explain())
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None


@contextmanager
def _nudged() -> Iterator[None]:
    """Interrupt blocking calls now and then.

    A signal that arrives after Python last looked for one, but before a read
    blocks, does not end that read: it would be noticed when the next byte comes.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, NUDGE_INTERVAL, NUDGE_INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
