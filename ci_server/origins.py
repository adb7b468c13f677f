"""Who may ask: keeps web pages of other sites, and other machines, from running code here.

A browser lets any page send a form to a server on the user's own machine. With
the local executor that form would be a program, so only this machine may ask,
under a name that is its own.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request, WebSocket
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException

from ci_server.parts import parts_of
from ci_server.settings import is_loopback

_Connection = ASGIConnection[Any, Any, Any, Any]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def refuse_foreign_page(request: Request[Any, Any, Any]) -> None:
    """Refuse what a page of another site sends, and what is not for a local executor.

    Raises:
        PermissionDeniedException: the request is refused.

    """
    if request.method not in _SAFE_METHODS and _is_foreign(request):
        raise PermissionDeniedException("a page of another site may not change anything here")
    _refuse_other_machines(request)


def refuse_foreign_socket(socket: WebSocket[Any, Any, Any]) -> None:
    """Refuse a WebSocket that a page of another site opens, and what is not for a local executor.

    What a page gets over HTTP the browser keeps from it if it is of another site; not so here.

    Raises:
        PermissionDeniedException: the socket is refused.

    """
    if _is_foreign(socket):
        raise PermissionDeniedException("a page of another site may not listen here")
    _refuse_other_machines(socket)


def _refuse_other_machines(connection: _Connection) -> None:
    parts = parts_of(connection.app.state)
    if parts.executor_name == "local" and not _is_for_this_machine(connection):
        raise PermissionDeniedException(
            "this server runs jobs as plain processes and answers on this machine only"
        )


def _is_foreign(connection: _Connection) -> bool:
    origin = connection.headers.get("origin")
    allowed = parts_of(connection.app.state).settings.cors_origins
    if origin is None or origin in allowed:
        return False
    # Behind a proxy the first name the browser used is the forwarded one.
    names = (connection.headers.get("host"), connection.headers.get("x-forwarded-host"))
    return urlsplit(origin).netloc not in names


def _is_for_this_machine(connection: _Connection) -> bool:
    reached_at = connection.scope.get("server")
    if reached_at is not None and reached_at[1] is not None and not is_loopback(reached_at[0]):
        return False
    # A foreign name that leads here is how a page gets around the rule of origins.
    name = urlsplit("//" + connection.headers.get("host", "")).hostname or ""
    return is_loopback(name)
