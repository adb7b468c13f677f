"""Streams as Server-Sent Events: a job's, and those of all jobs.

A thousand readers of one job are a thousand of these, so each is kept small:
one task besides the request's own, where the library's way of serving takes four.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_common.events import CompleteEvent, encode_event
from ci_server.shutdown import Shutdown
from ci_server.streams import Positioned

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

LINGER = 2.0
"""Seconds a stream has to end by itself once the server shuts down."""

FAREWELL = ServerSentEvent(comment="the server is stopping", retry=1000, sep="\n").encode()
"""Has a browser come back after a second; who knows the job's id comes back by itself."""

PING = ServerSentEvent(comment="ping", sep="\n").encode()

REVOKED = ServerSentEvent(comment="you may not read this any more", sep="\n").encode()

T = TypeVar("T")


class EventStream(EventSourceResponse, Generic[T]):
    """A response that sends events as ``encode`` has them, and a comment now and then.

    Ends with its events, or when its reader goes; soon after the shutdown
    begins even if its reader has stopped reading. ``ping_interval`` is in seconds; after
    each, ``lasts`` says whether the reader may still read, or else it ends.
    """

    def __init__(
        self,
        events: AsyncGenerator[T, None],
        encode: Callable[[T], bytes],
        *,
        shutdown: Shutdown,
        ping_interval: float,
        lasts: Callable[[], Awaitable[bool]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(events, headers=headers, ping=ping_interval)
        self._lasts = lasts
        self._revoked = False
        self._events = events
        self._encode = encode
        self._shutdown = shutdown

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve the stream until it ends, its reader goes, or the server does."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:

                def leave(linger: float = 0.0) -> None:
                    if not limit.expired():
                        limit.reschedule(loop.time() + linger)

                await send(self._start())
                watching = asyncio.create_task(self._watch(receive, send, leave), name="stream")
                try:
                    with self._shutdown.calling(lambda: leave(LINGER)):
                        await self._send_all(send)
                finally:
                    watching.cancel()
        if self._revoked:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await send(_body(REVOKED))
                    await send(_body(b"", more=False))

    def completes(self, event: T) -> bool:  # noqa: ARG002 -- for those that override it
        """Return whether nothing can follow an event."""
        return False

    def _start(self) -> "Message":
        return {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }

    async def _send_all(self, send: "Send") -> None:
        complete = False
        async with aclosing(self._events) as events:
            async for event in events:
                await send(_body(self._encode(event)))
                complete = self.completes(event)
        if self._shutdown.begun and not complete:
            await send(_body(FAREWELL))
        await send(_body(b"", more=False))

    async def _watch(self, receive: "Receive", send: "Send", leave: Callable[[], object]) -> None:
        """Send comments until the reader is gone, or may not read any more; then ``leave``."""
        while True:
            try:
                async with asyncio.timeout(self.ping_interval):
                    message = await receive()
            except TimeoutError:
                if not await self._lasts():
                    self._revoked = True
                    leave()
                    return
                await send(_body(PING))
            else:
                if message["type"] == "http.disconnect":
                    leave()
                    return


class JobStream(EventStream[Positioned]):
    """The stream of one job: events with their offsets as ids."""

    def __init__(
        self,
        events: AsyncGenerator[Positioned, None],
        *,
        shutdown: Shutdown,
        ping_interval: float,
        lasts: Callable[[], Awaitable[bool]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            events,
            encoded,
            shutdown=shutdown,
            ping_interval=ping_interval,
            lasts=lasts,
            headers=headers,
        )

    def completes(self, event: Positioned) -> bool:
        """Return whether it is the verdict."""
        return isinstance(event.event, CompleteEvent)


def encoded(positioned: Positioned) -> bytes:
    """Return an event as it goes over the wire. JSON text holds no line breaks."""
    return f"id: {positioned.offset}\ndata: {encode_event(positioned.event)}\n\n".encode()


def _body(data: bytes, *, more: bool = True) -> "Message":
    return {"type": "http.response.body", "body": data, "more_body": more}
