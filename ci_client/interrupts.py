"""Ctrl-C: the first one lets go in good order, the second one ends everything."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci_client.terminal import Terminal

NUDGE_INTERVAL = 0.25
"""Seconds after which a Ctrl-C that came at a bad moment is noticed."""


class LetGo(Exception):
    """Ctrl-C came, and what there is to say about it is said."""


@contextmanager
def letting_go(terminal: Terminal, explain: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C into ``explain()`` and ``LetGo``. For the main thread."""
    try:
        with _nudged():
            yield
    except KeyboardInterrupt:
        from ci_client.exits import Exit

        signal.signal(signal.SIGINT, lambda *_: os._exit(Exit.INTERRUPTED))
        terminal.note(explain())
        raise LetGo from None


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
