"""Plain calls and generators over coroutines and asynchronous generators.

The event loop has a thread of its own. So Ctrl-C, which Python delivers to
the main thread, never lands in the middle of the loop's own work, and a caller
whose thread already runs a loop (a notebook) can call too.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from ci_client.api import CIClient

T = TypeVar("T")

_QUIET_ROUNDS = 3


class Bridge:
    """A ``CIClient`` in its own loop, for one caller at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, new_client: Callable[[], CIClient]) -> None:
        self._loop = loop
        self._client = new_client()
        self._streams: list[AsyncGenerator[Any, None]] = []
        self._step: asyncio.Task[Any] | None = None

    def call(self, ask: Callable[[CIClient], Coroutine[Any, Any, T]]) -> T:
        """Return what ``ask`` returns of the client."""
        return self._run(ask(self._client))

    def iterate(
        self, ask: Callable[[CIClient], AsyncGenerator[T, None]]
    ) -> Generator[T, None, None]:
        """Yield what ``ask`` yields of the client; a slow caller slows the stream down."""
        end = object()

        async def items() -> AsyncGenerator[T, None]:
            async with aclosing(ask(self._client)) as found:
                async for item in found:
                    yield item

        async def step() -> Any:  # noqa: ANN401 -- an item, or the end
            return await anext(stream, end)

        stream = items()
        self._streams.append(stream)
        try:
            while (item := self._run(step())) is not end:
                yield item
        finally:
            self._end(stream)

    def close(self) -> None:
        """End what is still going on, then the client."""
        for stream in tuple(self._streams):
            self._end(stream)
        self._finish(self._interrupt())
        self._finish(self._client.aclose())
        self._finish(_idle())

    def _end(self, stream: AsyncGenerator[Any, None]) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
            self._finish(self._interrupt())
            self._finish(stream.aclose())

    async def _interrupt(self) -> None:
        """Cancel a step that is still running: Ctrl-C ends our wait for it, not the step."""
        if self._step is not None and not self._step.done():
            self._step.cancel()
            await asyncio.wait([self._step])

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        async def tracked() -> T:
            self._step = asyncio.current_task()
            return await step

        return self._finish(tracked())

    def _finish(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()


async def _idle() -> None:
    """Return when nothing goes on any more: generators of the HTTP library close one by one."""
    rounds_without_tasks = 0
    while rounds_without_tasks < _QUIET_ROUNDS:
        busy = len(asyncio.all_tasks()) > 1
        rounds_without_tasks = 0 if busy else rounds_without_tasks + 1
        await asyncio.sleep(0)


@contextmanager
def bridged(new_client: Callable[[], CIClient]) -> Iterator[Bridge]:
    """Hold a client; close it and its loop at the end."""
    with _loop_in_thread() as loop:
        bridge = Bridge(loop, new_client)
        try:
            yield bridge
        finally:
            bridge.close()


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    ready: Future[asyncio.AbstractEventLoop] = Future()

    def live() -> None:
        loop = asyncio.new_event_loop()
        ready.set_result(loop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=live, name="ci-client-loop", daemon=True)
    thread.start()
    loop = ready.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
