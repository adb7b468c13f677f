"""The ASGI application: ``uvicorn ci_server.app:app``.

Importing this module opens nothing and reads no setting: ``app`` comes into
being when it is first asked for, and its parts when the server starts it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, cast

from litestar import Litestar, Response, Router
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Server as ServerUrl
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

from ci_common import __version__
from ci_common.errors import CIError
from ci_server import bootstrap
from ci_server.access_log import Access
from ci_server.clients import ProxyTrust
from ci_server.cors import AllowedOrigins, add_headers, answer_preflight
from ci_server.origins import refuse_foreign_page
from ci_server.parts import Parts
from ci_server.problems import problem_response
from ci_server.request_ids import about_request, assign_request_id, echo_request_id
from ci_server.request_limits import RequestLimits, limited
from ci_server.routes import API_PREFIX, build_routers
from ci_server.schema_page import SchemaPage
from ci_server.settings import Settings, load_settings
from ci_server.shutdown import on_signals


class Edge:
    """What is done with every request before anybody knows what it is."""

    def __init__(self, settings: Settings) -> None:
        self.proxies = ProxyTrust(settings.trusted_proxies)
        self.origins = AllowedOrigins(settings.cors_origins)
        self.logs_access = settings.access_log


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
        elif scope["type"] == ScopeType.HTTP:
            await self._serve(scope, cast("Receive", receive), cast("Send", send))
        else:
            self._edge.proxies.apply(scope)
            await super().__call__(scope, receive, send)

    @property
    def _edge(self) -> Edge:
        edge: Edge = self.state.edge
        return edge

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        edge, request_id = self._edge, assign_request_id(scope)
        edge.proxies.apply(scope)
        access = Access(scope)

        async def send_with_headers(message: Message) -> None:
            echo_request_id(message, request_id)
            add_headers(message, scope, edge.origins)
            access.saw(message)
            await send(message)

        with about_request(request_id):
            try:
                if edge.origins.is_preflight(scope):
                    await answer_preflight(send_with_headers)
                else:
                    await super().__call__(scope, receive, send_with_headers)
            finally:
                if edge.logs_access:
                    access.log()

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
            with on_signals(parts.shutdown.begin):
                yield
            parts.shutdown.begin()

    return Application(
        route_handlers=build_routers(),
        lifespan=[life],
        exception_handlers={Exception: problem_response},
        before_request=refuse_foreign_page,
        middleware=[limited],
        # Ours is a setting, and told in our own words.
        request_max_body_size=None,
        logging_config=None,
        openapi_config=_description(),
    )


@cache
def _application() -> Application:
    return create_app()


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- as the language has it
    if name == "app":
        return _application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def _plain_not_found(response: Response[Any]) -> Response[Any]:
    # Litestar has a page of its own for what is not under /schema.
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise NotFoundException
    return response


def _description() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Standby CI",
        version=__version__,
        description="Submit a project as a zip, watch its tests run in a fresh container. "
        f"Every route is at `/` and at `{API_PREFIX}`, unless its path begins so. "
        "Errors are problem documents (RFC 9457).",
        servers=[ServerUrl(url="/"), ServerUrl(url=API_PREFIX)],
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, after_request=_plain_not_found
        ),
        render_plugins=[SchemaPage(path="/"), JsonRenderPlugin(path="/openapi.json")],
    )
