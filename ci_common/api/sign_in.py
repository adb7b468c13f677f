"""Signing in, sessions, one-time links and tokens as HTTP shows them."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from ci_common.access import Scope
from ci_common.clock import format_utc
from ci_common.sign_in import Session

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SignInRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who wants to sign in with a password."""

    name: Name
    password: Password


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One's own password, as it is and as it is to be."""

    password: Password
    new_password: Password


class LinkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A one-time link and the password to set by it.

    ``link`` is what the link has behind ``?link=``. ``name`` is the first admin's
    to be; it is ignored where the link is for a user.
    """

    link: Secret
    password: Password
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""


class PasswordLinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time link by which a user chooses a password, and when it ends. It is shown once."""

    url: str
    expires_at: str


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a user. Times are UTC in RFC 3339 with a ``Z``.

    ``method`` is ``password``, ``link`` or ``oidc``; ``address`` and ``agent`` are
    of whoever signed in. ``current``: it is the one that this request is of.
    """

    id: str
    method: str
    address: str
    agent: str
    created_at: str
    last_seen_at: str
    expires_at: str
    current: bool


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The session of a cookie.

    ``csrf_token`` is to be sent as the header ``CI-CSRF-Token`` with whatever
    changes something.
    """

    user: str
    session: SessionView
    csrf_token: str


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token is to be good for: as much as the credential, or less.

    ``lifetime`` in seconds. ``organisation`` by name.
    """

    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=10)] | None = None
    organisation: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    lifetime: Annotated[float, msgspec.Meta(ge=1, le=900)] | None = None


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token, to be sent as ``Authorization: Bearer``. ``expires_in`` in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    expires_at: str
    scopes: Sequence[str]
    organisation: str | None


class KeySet(msgspec.Struct, frozen=True):
    """The public keys that tokens are signed with, as RFC 7517 has it."""

    keys: Sequence[Mapping[str, str]]


def session_view(session: Session, *, current: str) -> SessionView:
    """Return a session as HTTP shows it; ``current`` is the id of the request's own."""
    return SessionView(
        id=session.id,
        method=session.method.value,
        address=session.address,
        agent=session.agent,
        created_at=format_utc(session.created_at),
        last_seen_at=format_utc(session.last_seen_at),
        expires_at=format_utc(session.expires_at),
        current=session.id == current,
    )
