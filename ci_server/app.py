"""The ASGI application: ``uvicorn ci_server.app:app``.

Importing this module opens nothing and reads no setting: ``app`` comes into
being when it is first asked for, and its parts when the server starts it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import (
    HTTPScope,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    LifeSpanSendMessage,
    Message,
    Receive,
    Scope,
    Send,
)

from ci_common.errors import CIError
from ci_server import bootstrap
from ci_server.access_log import Access
from ci_server.cors import add_headers, answer_preflight
from ci_server.description import description_config
from ci_server.edge import Edge
from ci_server.guard import guarded
from ci_server.null_values import refuse_null
from ci_server.origins import refuse_foreign_page
from ci_server.parts import Parts
from ci_server.problems import problem_response
from ci_server.refusals import Refusals
from ci_server.request_ids import about_request, assign_request_id, echo_request_id
from ci_server.request_limits import RequestLimits, limited
from ci_server.request_telemetry import CountedRequest, telling_of_answer
from ci_server.routes import build_routers
from ci_server.routes.openapi import StreamSchema
from ci_server.settings import Settings, load_settings
from ci_server.shutdown import on_signals
from ci_server.tuple_schema import TupleSchema

StartParts = Callable[[Settings], AbstractAsyncContextManager[Parts]]
"""Brings the parts of a server to life for the length of an ``async with`` block."""


class Application(Litestar):
    """Litestar, with an id for every request, also for those that reach no route."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Serve one connection, or the application's life."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, self._saying_why(cast("LifeSpanSend", send)))
        else:
            await self._serve(scope, cast("Receive", receive), cast("Send", send))

    @property
    def _edge(self) -> Edge:
        edge: Edge = self.state.edge
        return edge

    @property
    def _refusals(self) -> Refusals:
        refusals: Refusals = self.state.refusals
        return refusals

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = assign_request_id(scope)
        self._edge.proxies.apply(scope)

        async def send_with_id(message: Message) -> None:
            echo_request_id(message, request_id)
            await send(message)

        with about_request(request_id):
            if scope["type"] == ScopeType.HTTP:
                await self._answer(scope, receive, send_with_id)
            else:
                await super().__call__(scope, receive, send_with_id)
            await self._refusals.saw(scope)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        edge, access = self._edge, Access(scope)

        async def send_with_headers(message: Message) -> None:
            add_headers(message, scope, edge.origins)
            access.saw(message)
            await send(message)

        try:
            if edge.origins.is_preflight(scope):
                await answer_preflight(send_with_headers)
            else:
                await self._observed(scope, receive, send_with_headers)
        finally:
            if edge.logs_access:
                access.log()

    async def _observed(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        parts = self.state.get("parts")
        if parts is None or parts.tracing is None:
            await self._counted(parts, scope, receive, send)
            return
        with parts.tracing.request(scope) as span:
            told = telling_of_answer(span, scope, send)
            await self._counted(parts, scope, receive, told)

    async def _counted(
        self, parts: Parts | None, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        if parts is None or parts.metrics is None:
            await super().__call__(scope, receive, send)
        else:
            request = CountedRequest(scope, parts.metrics.worker)
            await request.serve(super().__call__, receive, send)

    def _saying_why(self, send: LifeSpanSend) -> LifeSpanSend:
        # A refusal of ours is told in its own words, without a traceback.
        async def send_brief(message: LifeSpanSendMessage) -> None:
            refusal = self.state.get("refusal")
            if message["type"] == "lifespan.startup.failed" and refusal is not None:
                text = f"{refusal.detail.rstrip('.')}. {refusal.hint or ''}"
                message["message"] = text.strip()
            await send(message)

        return send_brief


def create_app(
    settings: Settings | None = None, start: StartParts = bootstrap.running_parts
) -> Application:
    """Return an application; without ``settings`` they are read when it is started."""

    @asynccontextmanager
    async def life(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                parts = await stack.enter_async_context(start(settings or load_settings()))
            except CIError as refusal:
                app.state.refusal = refusal
                raise
            app.state.parts = parts
            app.state.edge = Edge(parts.settings)
            app.state.request_limits = RequestLimits(parts.settings)
            app.state.refusals = refusals = Refusals(parts.audit)
            stack.push_async_callback(refusals.close)
            with on_signals(parts.shutdown.begin, delay=parts.settings.shutdown_delay):
                yield
            parts.shutdown.begin()

    return Application(
        route_handlers=build_routers(),
        lifespan=[life],
        exception_handlers={Exception: problem_response},
        before_request=refuse_foreign_page,
        guards=[refuse_null],
        middleware=[limited, guarded],
        # Ours is a setting, and told in our own words.
        request_max_body_size=None,
        logging_config=None,
        openapi_config=description_config(),
        plugins=[TupleSchema(), StreamSchema()],
    )


@cache
def _application() -> Application:
    return create_app()


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- as the language has it
    if name == "app":
        return _application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
