"""A job's stream as Server-Sent Events."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_common.events import encode_event
from ci_server.shutdown import Shutdown
from ci_server.streams import Positioned

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

LINGER = 2.0
"""Seconds a stream has to end by itself once the server shuts down."""

_SEPARATOR = "\n"


class JobStream(EventSourceResponse):
    """Sends events with their offsets as ids, and a comment now and then.

    Ends with its events; soon after the shutdown begins even if its reader has
    stopped reading.
    """

    def __init__(
        self,
        events: AsyncGenerator[Positioned, None],
        *,
        shutdown: Shutdown,
        ping_interval: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            encoded(events),
            headers=headers,
            ping=ping_interval,
            sep=_SEPARATOR,
            ping_message_factory=lambda: ServerSentEvent(comment="ping", sep=_SEPARATOR),
        )
        self._shutdown = shutdown

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve the stream until it ends, its reader goes, or the server does."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                with self._shutdown.calling(lambda: limit.reschedule(loop.time() + LINGER)):
                    await super().__call__(scope, receive, send)


async def encoded(events: AsyncGenerator[Positioned, None]) -> AsyncGenerator[bytes, None]:
    """Yield events as they go over the wire. JSON text holds no line breaks."""
    async with aclosing(events):
        async for positioned in events:
            yield f"id: {positioned.offset}\ndata: {encode_event(positioned.event)}\n\n".encode()
