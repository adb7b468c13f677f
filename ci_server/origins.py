"""Who may ask: keeps web pages of other sites, and other machines, from running code here.

A browser lets any page send a form to a server on the user's own machine. With
the local executor that form would be a program, and without accounts nothing
else tells who asks: so only this machine may ask then, under a name that is its own.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request, WebSocket
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException

from ci_common.errors import PermissionDenied
from ci_server.clients import forwarded_host
from ci_server.parts import parts_of
from ci_server.settings import is_loopback

_Connection = ASGIConnection[Any, Any, Any, Any]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def refuse_foreign_page(request: Request[Any, Any, Any]) -> None:
    """Refuse what a page of another site sends, and what is not for a local executor.

    Raises:
        PermissionDeniedException: the request is refused.

    """
    if request.method not in _SAFE_METHODS and is_foreign(request):
        raise PermissionDeniedException("a page of another site may not change anything here")
    _refuse_other_machines(request)


def refuse_foreign_socket(socket: WebSocket[Any, Any, Any]) -> None:
    """Refuse a WebSocket that a page of another site opens, and what is not for a local executor.

    What a page gets over HTTP the browser keeps from it if it is of another site; not so here.

    Raises:
        PermissionDeniedException: the socket is refused.

    """
    if is_foreign(socket):
        raise PermissionDeniedException("a page of another site may not listen here")
    _refuse_other_machines(socket)


def refuse_other_machines(connection: _Connection) -> None:
    """Refuse what does not come to this machine by a name of its own, as there are no accounts.

    The server was started for this machine alone. What reaches it otherwise came through
    something in between, or from a page that had its own name lead here (DNS rebinding).

    Raises:
        PermissionDenied: the request is refused.

    """
    allowed = parts_of(connection.app.state).settings.let_anyone_run_code
    if not allowed and not _is_for_this_machine(connection):
        raise PermissionDenied(
            "this server has no accounts, so it answers on its own machine only, and by its name",
            hint="There: use http://localhost or http://127.0.0.1. To use it from elsewhere, "
            "start it with CI_ACCOUNTS=on and sign in.",
        )


def _refuse_other_machines(connection: _Connection) -> None:
    parts = parts_of(connection.app.state)
    if parts.executor_name == "local" and not _is_for_this_machine(connection):
        raise PermissionDeniedException(
            "this server runs jobs as plain processes and answers on this machine only"
        )


def is_foreign(connection: _Connection) -> bool:
    """Return whether a request says that it is from a page of another site, and not an allowed."""
    origin = connection.headers.get("origin")
    allowed = parts_of(connection.app.state).settings.cors_origins
    if origin is None or origin in allowed:
        return False
    # Behind a proxy the name that the browser used is the forwarded one.
    names = (connection.headers.get("host"), forwarded_host(connection))
    return urlsplit(origin).netloc not in names


def _is_for_this_machine(connection: _Connection) -> bool:
    reached_at = connection.scope.get("server")
    if reached_at is not None and reached_at[1] is not None and not is_loopback(reached_at[0]):
        return False
    # A foreign name that leads here is how a page gets around the rule of origins.
    name = urlsplit("//" + connection.headers.get("host", "")).hostname or ""
    return is_loopback(name)
