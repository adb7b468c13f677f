"""Knowing early that the server is going down.

An ASGI server waits for its open connections before it tells the application
to shut down, so a stream that waits for that call would keep the process
alive for the whole grace period. The streams listen here instead.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
def on_signals(begin: Callable[[], None]) -> Iterator[None]:
    """Call ``begin`` on the loop when the process is asked to end, before its own handler runs.

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
                signal.signal(number, _chained(loop, begin, previous))
                undo.callback(signal.signal, number, previous)
        yield


def _chained(
    loop: asyncio.AbstractEventLoop,
    begin: Callable[[], None],
    previous: Callable[[int, FrameType | None], Any],
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(begin)
        previous(number, frame)

    return handle
