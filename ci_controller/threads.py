"""Blocking work in threads of its own, for as long as it takes."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def run_in_thread(
    work: Callable[[], T],
    *,
    name: str,
    discard: Callable[[T], object] = lambda _: None,
    ended: Callable[[], object] = lambda: None,
) -> asyncio.Future[T]:
    """Run ``work`` in a new thread; return the future of its result.

    A cancelled future does not stop the work; a result that comes too late
    goes to ``discard``. ``ended`` runs on the event loop when the thread is
    done, wanted or not.

    The threads are daemons: one that hangs in a dead engine's socket must not
    keep the process from ending, as a thread pool's would.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(outcome: Callable[[], T]) -> None:
        ended()
        _settle(future, outcome, discard)

    def body() -> None:
        outcome = _attempt(work)
        try:
            loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            with suppress(BaseException):
                discard(outcome())

    threading.Thread(target=body, name=name, daemon=True).start()
    return future


def _attempt(work: Callable[[], T]) -> Callable[[], T]:
    """Return a function that gives what ``work`` gave, or raises what it raised."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 -- it belongs to whoever waits
        failure = error

        def fail() -> T:
            raise failure

        return fail
    return lambda: result


def _settle(
    future: asyncio.Future[T], outcome: Callable[[], T], discard: Callable[[T], object]
) -> None:
    try:
        result = outcome()
    except BaseException as error:  # noqa: BLE001 -- likewise
        if not future.done():
            future.set_exception(error)
        return
    if future.done():
        discard(result)
    else:
        future.set_result(result)
