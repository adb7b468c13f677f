"""Threads that run only while the loop stands still, for work that waits for the loop itself."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

_THREAD: ContextVar["_Thread | None"] = ContextVar("lockstep thread", default=None)


class _Thread:
    """One piece of work. What it wants of the loop comes through ``asks``; None at its end."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.asks: SimpleQueue[Coroutine[Any, Any, Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.error: BaseException | None = None
        self._work = work
        self._context = copy_context()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        self._context.run(_THREAD.set, self)
        try:
            self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001 -- raised again by join
            self.error = error
        self.asks.put(None)


async def in_lockstep(work: Callable[[], object]) -> None:
    """Do work that may call ``asyncio.run_coroutine_threadsafe``; raise what it raises.

    As with a thread, cancelling does not stop it.
    """
    thread = _Thread(work)
    cancelled: asyncio.CancelledError | None = None
    thread.start()
    # Blocks the loop: only one of the two ever runs.
    while (asked := thread.asks.get()) is not None:
        answer = asyncio.ensure_future(asked)
        while not answer.done():
            try:
                await asyncio.wait({answer})
            except asyncio.CancelledError as error:
                cancelled = error
        thread.answers.put(answer.result)
    thread.join()
    if cancelled is not None:
        raise cancelled


class _Answer:
    """In place of a future of another thread."""

    def __init__(self, thread: _Thread) -> None:
        self._thread = thread

    def result(self) -> Any:
        return self._thread.answers.get()()


def _ask(asked: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> _Answer:
    thread = _THREAD.get()
    assert thread is not None, "only work in lockstep may wait for the loop"
    thread.asks.put(asked)
    return _Answer(thread)


@contextmanager
def loop_in_lockstep() -> Iterator[None]:
    """Have work in lockstep reach the loop in the block."""
    with (
        patch("ci_controller.resumption.asyncio.run_coroutine_threadsafe", _ask),
        # What is held back of a log may be the first to tell where the record goes on.
        patch("ci_controller.job_log.asyncio", SimpleNamespace(to_thread=in_lockstep)),
    ):
        yield
