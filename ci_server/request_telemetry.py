"""Every request, counted, from outside of all that answers it."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from litestar.types import (
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from ci_server.metrics.worker import WorkerMetrics

PROBLEM_CODE = "problem_code"
"""Where the code of a problem document is left in a request's state."""

UNMATCHED = "unmatched"
"""The route of requests that none fits: their paths are anybody's invention."""

_SUBMISSIONS = ("/submit", "/submit-stream", "/submit-async")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_EVENT_STREAM = b"text/event-stream"

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def route_of(scope: Scope) -> str:
    """Return the template of the route that a request came to."""
    return str(scope.get("path_template") or UNMATCHED)


class CountedRequest:
    """One request on its way through the application."""

    def __init__(self, scope: HTTPScope, metrics: "WorkerMetrics") -> None:
        self._scope = scope
        self._metrics = metrics
        self._begin = time.perf_counter()
        self._streams = False

    async def serve(self, app: App, receive: Receive, send: Send) -> None:
        """Pass the request on, and count what comes of it."""

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered(message)
            await send(message)

        try:
            await app(self._scope, self._counting(receive), counted_send)
        finally:
            if self._streams:
                self._metrics.reader_left()

    def _counting(self, receive: Receive) -> Receive:
        if self._scope["method"] != "POST":
            return receive

        async def counted_receive() -> Any:  # noqa: ANN401 -- as it comes
            message = await receive()
            if message["type"] == "http.request" and self._is_submission():
                self._metrics.uploaded(len(message.get("body", b"")))
            return message

        return counted_receive

    def _is_submission(self) -> bool:
        return route_of(self._scope).endswith(_SUBMISSIONS)

    def _answered(self, message: Message) -> None:
        status = int(cast("HTTPResponseStartEvent", message)["status"])
        method = self._scope["method"]
        self._metrics.answered(
            route_of(self._scope),
            method if method in _METHODS else "other",
            status,
            time.perf_counter() - self._begin,
        )
        code = self._scope.get("state", {}).get(PROBLEM_CODE)
        if code is not None and self._is_submission():
            self._metrics.refused(str(code))
        headers = cast("HTTPResponseStartEvent", message)["headers"]
        if any(
            name == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in headers
        ):
            self._streams = True
            self._metrics.reader_came()


def telling_of_answer(span: "Span", scope: HTTPScope, send: Send) -> Send:
    """Return a ``send`` that notes on a request's span what it came to."""
    from ci_server.tracing import describe_answer

    async def telling_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            describe_answer(span, route_of(scope), scope["method"], status)
        await send(message)

    return telling_send
