"""HTTP/1.1 connections as uvicorn serves them, which do not wait for ever for a request."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Protocol(H11Protocol):
    """A connection on which headers have to arrive within ``header_timeout`` seconds.

    The time counts from the first byte of a request; for the first request,
    from the connection's beginning. Between requests uvicorn has a time of its own.
    """

    def __init__(self, header_timeout: float, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._header_timeout = header_timeout
        self._waiting: asyncio.TimerHandle | None = None
        self._began = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; wait on if it is not yet a whole head."""
        self._began = True
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch()
        else:
            self._unwatch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self._header_timeout, self._give_up)

    def _unwatch(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self._began:
            self.transport.write(TOO_SLOW)
        self.transport.close()
