"""Who may ask: keeps web pages of other sites, and other machines, from running code here.

A browser lets any page send a form to a server on the user's own machine. With
the local executor that form would be a program, so only this machine may ask,
under a name that is its own.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.exceptions import PermissionDeniedException

from ci_server.parts import parts_of
from ci_server.settings import is_loopback

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def refuse_foreign_page(request: Request[Any, Any, Any]) -> None:
    """Refuse what a page of another site sends, and what is not for a local executor.

    Raises:
        PermissionDeniedException: the request is refused.

    """
    settings = parts_of(request.app.state).settings
    if request.method not in _SAFE_METHODS and _is_foreign(request, settings.cors_origins):
        raise PermissionDeniedException("a page of another site may not change anything here")
    if parts_of(request.app.state).executor_name == "local" and not _is_for_this_machine(request):
        raise PermissionDeniedException(
            "this server runs jobs as plain processes and answers on this machine only"
        )


def _is_foreign(request: Request[Any, Any, Any], allowed: Sequence[str]) -> bool:
    origin = request.headers.get("origin")
    if origin is None or origin in allowed:
        return False
    # Behind a proxy the first name the browser used is the forwarded one.
    names = (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    return urlsplit(origin).netloc not in names


def _is_for_this_machine(request: Request[Any, Any, Any]) -> bool:
    reached_at = request.scope.get("server")
    if reached_at is not None and reached_at[1] is not None and not is_loopback(reached_at[0]):
        return False
    # A foreign name that leads here is how a page gets around the rule of origins.
    name = urlsplit("//" + request.headers.get("host", "")).hostname or ""
    return is_loopback(name)
