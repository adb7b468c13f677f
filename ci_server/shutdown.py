"""Knowing early that the server is going down.

An ASGI server waits for its open connections before it tells the application
to shut down, so a stream that waits for that call would keep the process
alive for the whole grace period. The streams listen here instead, and new work
is refused from here on, while a load balancer may still think us ready.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ci_common.errors import ServerStopping

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KILLED_BY = 128
"""What a shell adds to the number of the signal that ended a process."""


class Shutdown:
    """Whether this process is on its way out. Used on the event loop's thread."""

    def __init__(self) -> None:
        self._begun = False
        self._callbacks: dict[object, Callable[[], object]] = {}

    @property
    def begun(self) -> bool:
        """Whether streams should end now."""
        return self._begun

    def begin(self) -> None:
        """Have streams end, now and from now on. Idempotent."""
        if self._begun:
            return
        self._begun = True
        for callback in tuple(self._callbacks.values()):
            callback()

    def refuse_if_begun(self) -> None:
        """Return while new work can be taken.

        Raises:
            ServerStopping: it cannot.

        """
        if self._begun:
            raise ServerStopping(
                "this server is shutting down and takes no more jobs",
                hint="Try again after the seconds of Retry-After, on a new connection.",
            )

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Have ``callback`` called when the shutdown begins during the ``with`` block."""
        key = object()
        self._callbacks[key] = callback
        try:
            yield
        finally:
            del self._callbacks[key]


@contextlib.contextmanager
def on_signals(begin: Callable[[], None], *, delay: float = 0.0) -> Iterator[None]:
    """Call ``begin`` on the loop when the process is asked to end, before its own handler runs.

    That one is called ``delay`` seconds later. The same signal again ends the
    process at once: jobs need no farewell.

    The server that runs us has its handlers in place by now; they are kept and
    called. Does nothing outside the main thread, where signals cannot arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as undo:
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                signal.signal(number, _chained(loop, begin, previous, delay))
                undo.callback(signal.signal, number, previous)
        yield


def _chained(
    loop: asyncio.AbstractEventLoop,
    begin: Callable[[], None],
    previous: Callable[[int, FrameType | None], Any],
    delay: float,
) -> Callable[[int, FrameType | None], None]:
    # Each signal has its own: Ctrl-C reaches workers from the terminal, and as SIGTERM from
    # the process that started them, and is one wish all the same.
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(_KILLED_BY + number)
        asked = True
        if loop.is_closed():
            previous(number, frame)
            return
        loop.call_soon_threadsafe(begin)
        if delay:
            loop.call_soon_threadsafe(loop.call_later, delay, previous, number, frame)
        else:
            previous(number, frame)

    return handle
