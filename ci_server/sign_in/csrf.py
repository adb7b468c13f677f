"""Keeps pages of other sites from acting with the cookie of whoever has one open.

Three things have to hold, each of which would do alone: the cookie is of the
kind that browsers do not send along with what other sites start (SameSite), the
browser says that the page is ours, and the request repeats what only our pages can know.
"""

from ci_common.errors import PermissionDenied
from ci_server.origins import is_foreign
from ci_server.parts import parts_of
from ci_server.sign_in.cookies import Connection
from ci_server.sign_in.sessions import is_form_token

HEADER = "CI-CSRF-Token"
FIELD = "csrf_token"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN = frozenset({"same-origin", "none"})
"""What ``Sec-Fetch-Site`` says of our own pages, and of what the user typed."""


def require_own_page(connection: Connection) -> None:
    """Return if no page of another site is behind a request, as far as the browser says.

    Raises:
        PermissionDenied: one is.

    """
    site = connection.headers.get("sec-fetch-site", "none")
    allowed = (
        connection.headers.get("origin") in parts_of(connection.app.state).settings.cors_origins
    )
    if is_foreign(connection) or (site not in _OWN and not allowed):
        raise PermissionDenied("a page of another site may not use your session")


def require_token(secret: str | None, said: str | None) -> None:
    """Return if a request repeats what belongs to its cookie, whose value is ``secret``.

    Raises:
        PermissionDenied: it does not.

    """
    if secret is None or said is None or not is_form_token(secret, said):
        raise PermissionDenied(
            f"{HEADER}: it is missing, or not that of this session",
            hint=f"Send what `GET /api/v1/session` answers as csrf_token as the header {HEADER}; "
            "in a form, load the page again.",
        )
