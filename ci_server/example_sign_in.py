"""Examples of signing in."""

from ci_common.access import Scope
from ci_common.api.sign_in import (
    LinkRequest,
    PasswordChange,
    PasswordLinkView,
    SessionView,
    SignedIn,
    SignInRequest,
    TokenRequest,
    TokenView,
)

SESSION_ID = "ses_5b0c9d2e7f184a36"
_LINK = "q3n8Xo0b5mXxkq1vJmZb2dQ0c6r8s1Tt4uYw7zA9CeE"
_PASSWORD = "velvet otter umbrella"  # noqa: S105 -- an example
_SESSION = SessionView(
    id=SESSION_ID,
    method="password",
    address="192.0.2.17",
    agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    created_at="2026-11-21T08:02:11.004Z",
    last_seen_at="2026-11-21T09:30:00.125Z",
    expires_at="2026-11-28T08:02:11.004Z",
    current=True,
)

SIGN_IN = (
    SignInRequest(name="ada", password=_PASSWORD),
    PasswordChange(password=_PASSWORD, new_password="copper lantern tuesday mist"),  # noqa: S106 -- an example
    LinkRequest(link=_LINK, password=_PASSWORD, name="ada"),
    PasswordLinkView(
        url=f"https://ci.example/set-password?link={_LINK}", expires_at="2026-11-22T09:30:00.125Z"
    ),
    _SESSION,
    SignedIn(
        user="ada",
        session=_SESSION,
        csrf_token="2fQ7c1yZ0pXk9sV3mB8nL5tR4wE6uI1oA0dG7hJ2kNs",  # noqa: S106 -- an example
    ),
    TokenRequest(scopes=[Scope.SUBMIT], organisation="acme", lifetime=300.0),
    TokenView(
        access_token="eyJhbGciOiJFZERTQSIsImtpZCI6…",  # noqa: S106 -- an example
        token_type="Bearer",  # noqa: S106 -- the word
        expires_in=300,
        expires_at="2026-11-21T09:35:00.125Z",
        scopes=["submit"],
        organisation="acme",
    ),
)
