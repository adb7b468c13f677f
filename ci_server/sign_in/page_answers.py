"""Answers to people: pages, redirects, and errors as pages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.datastructures import FormMultiDict
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from ci_common.errors import CIError, NotSignedIn
from ci_server.problems import STATUS_OF_CODE, described
from ci_server.sign_in.html import Said, message_page

HOME = "/account"

_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    # With the stricter one of other answers, browsers do not say of our own forms that they
    # are ours (Origin: null).
    "Referrer-Policy": "same-origin",
}


def page(html: str, error: CIError | None = None, status: int = 200) -> Response[str]:
    """Return a page, with the status of an error if it tells of one."""
    headers = dict(_HEADERS)
    if error is not None:
        status = STATUS_OF_CODE[error.code]
    return Response(html, status_code=status, media_type="text/html", headers=headers)


def redirect(path: str) -> Redirect:
    """Send a browser to a path of ours, or the address of a provider, by GET."""
    return Redirect(path, status_code=303, headers={"Cache-Control": "no-store"})


def said_of(error: CIError | None) -> Said | None:
    """Return what a page says of an error."""
    return None if error is None else Said(_sentence(error.detail), error.hint or "")


def local_path(path: str) -> str:
    r"""Return ``path`` if it is one of this server, else where one starts from.

    Browsers take ``//host`` and ``/\host`` for another server, and leave out
    tabs and line breaks before they look.
    """
    safe = path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable()
    return path if safe else HOME


def text_of(form: FormMultiDict, name: str) -> str:
    """Return a field of a form; empty if it is not there, or a file."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def error_page(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Return a page that tells of an error, or the way to sign in where that is it."""
    if type(error) is NotSignedIn and request.method == "GET":
        return redirect(f"/sign-in?next={quote(request.url.path, safe='')}")
    problem, headers = described(request.scope, error)
    said = Said(_sentence(problem.detail), problem.hint or "")
    answer = page(
        message_page(problem.title.rstrip("."), said, link=("/sign-in", "To the sign-in page")),
        status=problem.status,
    )
    answer.headers.update(headers)
    return answer


ON_PAGES: Any = {CIError: error_page, HTTPException: error_page}
"""What a handler of a page has as its ``exception_handlers``."""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
