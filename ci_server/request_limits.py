"""What holds for every request once its route is known: how many, how large, how long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from litestar.enums import ScopeType
from litestar.exceptions import TooManyRequestsException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from ci_common.errors import RequestTimedOut, UploadTooLarge
from ci_common.log_context import current_job_id
from ci_server.clients import client_address
from ci_server.rate_limits import RateLimits
from ci_server.route_kinds import RouteKind, kind_of
from ci_server.settings import Settings

QUOTA_KEY = "quota"
"""Where in a request's state its ``Quota`` is, for the answer's headers."""


_WHOLE_ID = 36


class RequestLimits:
    """The limits of one server process, by its settings."""

    def __init__(self, settings: Settings) -> None:
        self._rates = RateLimits(settings)
        self._max_bytes = settings.max_request_bytes
        self._timeout = settings.request_timeout

    def take(self, scope: Scope, credential: str | None = None) -> None:
        """Count the request: for the ``credential`` that it shows, or for its address.

        Raises:
            RateLimited: its client has sent too many.
            TooManyRequestsException: the same, at a WebSocket.

        """
        kind = kind_of(scope["route_handler"])
        taken = self._rates.take(kind, client_address(scope), credential)
        if taken is None:
            return
        quota, refusal = taken
        scope.setdefault("state", {})[QUOTA_KEY] = quota
        if refusal is not None:
            if scope["type"] == ScopeType.WEBSOCKET:
                raise TooManyRequestsException(refusal.detail)
            raise refusal

    def take_failure(self, scope: Scope) -> None:
        """Count a credential that is not good.

        Raises:
            RateLimited: its client has shown too many.

        """
        taken = self._rates.take(RouteKind.FAILURES, client_address(scope))
        if taken is not None and taken[1] is not None:
            raise taken[1]

    def bounded(self, scope: HTTPScope, receive: Receive) -> Receive:
        """Return what reads the body as far as it may go.

        Raises:
            UploadTooLarge: it says that it goes further, or (while it is read) it does.

        """
        said = next((v for n, v in scope["headers"] if n == b"content-length"), b"0")
        if int(said) > self._max_bytes:
            raise self._too_large()
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._max_bytes:
                    raise self._too_large()
            return message  # type: ignore[return-value]

        return receive_bounded  # type: ignore[return-value]

    async def in_time(self, serve: Callable[[Send], Awaitable[None]], send: Send) -> None:
        """Serve a request whose answer has to begin in time.

        Raises:
            RequestTimedOut: it did not.

        """
        limit = asyncio.timeout(self._timeout)

        async def send_in_time(message: Message) -> None:
            limit.reschedule(None)  # how fast the client reads is its own affair
            await send(message)

        try:
            async with limit:
                await serve(send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimedOut(
                f"no answer within {self._timeout:g} s",
                hint="Try again. On the server: CI_REQUEST_TIMEOUT.",
            ) from None

    def _too_large(self) -> UploadTooLarge:
        return UploadTooLarge(
            f"the request is larger than the {self._max_bytes} bytes this server accepts here",
            hint="Send less, or raise CI_MAX_REQUEST_BYTES.",
        )


def note_job(scope: Scope) -> None:
    """Have what is logged from here on carry the id of the job that a path names in full."""
    reference = str(scope["path_params"].get("reference", ""))
    if len(reference) == _WHOLE_ID:
        current_job_id.set(reference)


def limits_of(scope: Scope) -> RequestLimits:
    """Return the limits of the server that serves a connection."""
    limits: RequestLimits = scope["litestar_app"].state.request_limits
    return limits


def limited(app: ASGIApp) -> ASGIApp:
    """Return ``app`` behind the limits of the running server: a middleware of routes."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        note_job(scope)
        limits = limits_of(scope)
        if kind_of(scope["route_handler"]) is RouteKind.READS:
            bounded = limits.bounded(cast("HTTPScope", scope), receive)
            await limits.in_time(lambda send_in_time: app(scope, bounded, send_in_time), send)
        else:
            await app(scope, receive, send)

    return serve
