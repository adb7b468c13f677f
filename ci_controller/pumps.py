"""Output on its way from a container to a sink, one thread per running container."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from ci_common.executor import OutputSink
from ci_controller.threads import run_in_thread

_log = logging.getLogger(__name__)


class OutputSource(Protocol):
    """Where a container's output comes from. Read by one thread."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the output as it comes, in pieces that are not empty."""
        ...

    def interrupt(self) -> None:
        """Make the iteration end soon. Callable from any thread, more than once."""
        ...

    def close(self) -> None:
        """Let go of what the source holds, when nobody iterates any more. Idempotent."""
        ...


class ThreadPump:
    """An ``OutputPump`` that begins to run when it is made.

    The first ``skip`` bytes of the source do not reach the sink. What the sink
    raises ends the pump and comes out of :meth:`wait`. ``image_id`` is for whoever learns it.
    """

    image_id: str | None = None

    def __init__(self, source: OutputSource, sink: OutputSink, *, name: str, skip: int = 0) -> None:
        self._source = source
        self._sink = sink
        self._skip = skip
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._silent = True
        self._done = run_in_thread(self._run, name=f"pump {name}", ended=self._begun.set)
        # Whoever closes a pump unread is not interested in how it ended.
        self._done.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def silent(self) -> bool:
        """Whether nothing has come so far."""
        return self._silent

    @property
    def ended(self) -> bool:
        """Whether the stream has ended."""
        return self._done.done()

    def on_end(self, tell: Callable[["ThreadPump"], object]) -> None:
        """Have ``tell`` called with this pump when the stream has ended."""
        self._done.add_done_callback(lambda _: tell(self))

    async def wait(self) -> None:
        """Return when the stream has ended and the sink has everything that came."""
        await asyncio.shield(self._done)

    async def wait_ended_or(
        self,
        other: asyncio.Future[None],
        *,
        timeout: float,  # noqa: ASYNC109 -- asyncio.wait's own
    ) -> bool:
        """Wait for the end of the stream or for ``other``; return whether the stream has ended."""
        await asyncio.wait(
            {self._done, other}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        return self._done.done()

    async def wait_begun(self) -> None:
        """Return when the first byte has come, or the stream has ended without one."""
        await self._begun.wait()

    async def close(self) -> None:
        """Stop reading and return once the sink will not be called again. Idempotent."""
        self._closed = True
        self._source.interrupt()
        await asyncio.wait({self._done})

    def _run(self) -> None:
        try:
            for data in self._source:
                if self._closed:
                    return
                self._pass_on(data)
                # After it: who is told that the output has begun finds it in the sink.
                if self._silent:
                    self._announce()
        finally:
            self._source.close()

    def _announce(self) -> None:
        self._silent = False
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._begun.set)

    def _pass_on(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if data:
            self._sink(data)
