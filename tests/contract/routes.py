"""Every route of the application, as its router has them."""

from collections.abc import Iterator
from dataclasses import dataclass

from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from ci_server.app import create_app
from ci_server.routes import API_PREFIX

SOCKET = "WEBSOCKET"


@dataclass(frozen=True, slots=True)
class Route:
    """One method at one path. ``method`` is ``WEBSOCKET`` for what is none."""

    method: str
    path: str
    handler: BaseRouteHandler

    @property
    def operation(self) -> str:
        """What it is, wherever it is mounted: ``GET /jobs/{reference:str}``."""
        return f"{self.method} {self.path.removeprefix(API_PREFIX)}"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def all_routes() -> list[Route]:
    """Return every route, also those that the framework adds."""
    return sorted(_routes(), key=str)


def _routes() -> Iterator[Route]:
    for route in create_app().routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                yield Route(str(method), route.path, handler)
        else:
            yield Route(SOCKET, route.path, route.route_handler)
