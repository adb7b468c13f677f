"""Cookies: where a browser keeps what it is known by, and over which connections."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.response import Response

from ci_common.errors import PermissionDenied
from ci_server.parts import parts_of
from ci_server.settings import is_loopback

Connection = ASGIConnection[Any, Any, Any, Any]

SESSION = "ci_session"
VISIT = "ci_visit"
"""Of somebody who has not signed in yet: binds a form to the browser that it was shown in."""
FLOW = "ci_flow"
"""Of somebody who is on the way through a provider."""

_HOST_ONLY = "__Host-"
"""A browser takes such a cookie from this very host over TLS only, and sends it nowhere else."""


def require_safe(connection: Connection) -> None:
    """Return if passwords and cookies cannot be read on their way.

    Raises:
        PermissionDenied: the connection is neither over TLS nor within this machine.

    """
    if not (is_over_tls(connection) or _is_within_machine(connection)):
        raise PermissionDenied(
            "you can sign in over https only, or on the server's machine",
            hint="Put the server behind a proxy with TLS, and name it: CI_TRUSTED_PROXIES and "
            "CI_PUBLIC_URL. API keys work without cookies.",
        )


def read(connection: Connection, name: str) -> str | None:
    """Return what a cookie holds; None if there is none that may be believed."""
    cookies = connection.cookies
    held = cookies.get(_HOST_ONLY + name)
    if held is None and not is_over_tls(connection) and _is_within_machine(connection):
        held = cookies.get(name)
    return held or None


def set_on(
    response: Response[Any],
    connection: Connection,
    name: str,
    value: str,
    *,
    keep: timedelta | None = None,
) -> None:
    """Have the browser keep a cookie for so long; without ``keep`` until it is closed."""
    response.set_cookie(_cookie(connection, name, value, keep))


def drop_on(response: Response[Any], connection: Connection, names: Sequence[str]) -> None:
    """Have the browser forget cookies."""
    for name in names:
        response.set_cookie(_cookie(connection, name, "", timedelta()))


def is_over_tls(connection: Connection) -> bool:
    """Return whether the client reached us, or a proxy of ours, over TLS."""
    if connection.scope.get("scheme") in {"https", "wss"}:
        return True
    # A proxy that tells nothing of TLS is known by the address that it is reached at.
    public = urlsplit(parts_of(connection.app.state).settings.public_url)
    return public.scheme == "https" and public.netloc == connection.headers.get("host")


def _is_within_machine(connection: Connection) -> bool:
    name = urlsplit("//" + connection.headers.get("host", "")).hostname or ""
    return is_loopback(name)


def _cookie(connection: Connection, name: str, value: str, keep: timedelta | None) -> Cookie:
    secure = is_over_tls(connection)
    return Cookie(
        key=_HOST_ONLY + name if secure else name,
        value=value,
        path="/",
        max_age=None if keep is None else int(keep.total_seconds()),
        secure=secure,
        httponly=True,
        samesite="lax",
    )
