"""uvicorn as we run it: it tells the application early that it goes down."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from ci_common.errors import ConfigurationError
from ci_server.app import Application
from ci_server.event_socket import DROP, LARGEST_COMMAND
from ci_server.http_protocol import Protocol
from ci_server.parts import parts_of
from ci_server.settings import Settings

DROP_GRACE = 10.0
"""Seconds in which a client that was dropped can still read what is on its way, and why."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that can be ended although its client does not read.

    An ASGI application can only send when there is room for it, also that it
    ends; and a connection that is closed as usual stays until all was read.
    """

    def handle_connect(self, event: Request) -> None:
        """Take a handshake; give the application the means to drop the connection."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"] or {}
            self.scope["extensions"] = extensions | {DROP: self.drop}

    def drop(self, code: int, reason: str) -> None:
        """Close behind what is on its way, and end it all a little later. Idempotent."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        with contextlib.suppress(InvalidState):
            self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(DROP_GRACE, self.transport.abort)


class Server(uvicorn.Server):
    """A server of one application that reports when it listens.

    ``on_ready`` is called once requests are answered. Without ``signals`` the
    process's signal handlers are left alone, for a server inside a program.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: Application,
        *,
        on_ready: Callable[[], object] = lambda: None,
        signals: bool = True,
    ) -> None:
        super().__init__(config)
        self._application = app
        self._on_ready = on_ready
        self._signals = signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams at once, other requests within the grace, then the application."""
        parts_of(self._application.state).shutdown.begin()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the process's signals, if that is ours to do."""
        if not self._signals:
            yield
            return
        with super().capture_signals():
            yield


def server_config(
    app: Application | Callable[[], Application], settings: Settings, *, workers: int = 1
) -> uvicorn.Config:
    """Return how uvicorn is to run ``app``, or what makes one in each worker.

    Its own messages are kept to warnings, and go where ours go.
    """
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        factory=not isinstance(app, Application),
        workers=workers,
        lifespan="on",
        # Its lines go where ours go, and who asked for what is logged by us.
        log_config=None,
        access_log=False,
        # Whom to believe about a client's address is our setting.
        proxy_headers=False,
        http=cast("type[Protocol]", partial(Protocol, settings.header_timeout)),
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_keep_alive=round(settings.keep_alive_timeout),
        server_header=False,
        ws=SocketProtocol,
        ws_max_size=LARGEST_COMMAND,
        # A slow reader answers a ping only once it has read what lies before that.
        ws_ping_interval=settings.ping_interval,
        ws_ping_timeout=None,
        # Compressing costs each connection 64 KiB and more time than a network of today saves.
        ws_per_message_deflate=False,
        # uvicorn counts whole seconds.
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
    )


def bind(settings: Settings) -> socket.socket:
    """Return a socket that is bound to the settings' host and port.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.

    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sets TCP_NODELAY only where the protocol is said; without it an
        # answer's body waits 40 ms for the client to acknowledge its headers.
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"CI_HOST, CI_PORT: cannot listen on {host}:{port}: {error.strerror or error}",
            hint="Stop what listens there, or choose another with --port (0 picks a free one).",
        ) from error
    bound.set_inheritable(True)
    return bound


def base_url(bound: socket.socket) -> str:
    """Return the URL under which a bound socket is reached from this machine."""
    host, port = bound.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- compared
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
