"""Who asks: what a request shows of itself, made an actor.

Each way to say who one is (an API key, a session, a token) is one
``Credentials``; they are asked in turn. Why a credential is not good is never
told: unknown, expired, revoked and disabled are one and the same answer.
"""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from litestar.connection import ASGIConnection

from ci_common.access import ANONYMOUS, EVERYBODY, Actor, Credential, Role
from ci_common.accounts import AccountStore, ApiKey, User
from ci_common.api_keys import KEY_PREFIX, digest_of
from ci_common.clock import Clock, format_utc
from ci_common.errors import CIError, InvalidRequest, KeyNotFound, NotSignedIn

AnyConnection = ASGIConnection[Any, Any, Any, Any]

_SCHEME = "bearer"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")
"""As RFC 6750 has it, and no longer than any that we know."""

KEY_EXPIRES_HEADER = "CI-Key-Expires"
"""Says in answers when the key ends that the request showed, if that is soon."""

KEY_END = "key_end"
"""Where a connection's state has what that header says."""

SOON = timedelta(days=7)

_logger = logging.getLogger(__name__)


class Credentials(Protocol):
    """One way to say who one is."""

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Return whom a request's credential names; None if it shows none of this kind.

        Asked again while a stream is open: it says what is so now.

        Raises:
            NotSignedIn: it shows one that is not good; ``refused()`` is what to raise.
            InvalidRequest: it is not written as it has to be.

        """
        ...


class KeyCredentials:
    """API keys: ``Authorization: Bearer sci_…``."""

    def __init__(self, accounts: AccountStore, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Return the user of the key that a request shows, None if it shows none.

        Raises:
            NotSignedIn: the key is unknown, expired or revoked, or its user disabled.
            InvalidRequest: the header is not written as it has to be.

        """
        shown = bearer_token(connection)
        if shown is None or not shown.startswith(KEY_PREFIX):
            return None
        now = self._clock.now().wall
        try:
            key, user = await self._accounts.key_of(digest_of(shown))
        except KeyNotFound:
            raise refused() from None
        if not key.is_good(now) or user.disabled_at is not None:
            raise refused()
        _note_end(connection, key, now)
        # Not worth failing for: it says when a key was used, to whoever tidies up.
        with suppress(CIError):
            await self._accounts.note_key_use(key.id, now)
        return actor_of_key(key, user)


class Authentication:
    """Says who asks, by the first of ``credentials`` that a request shows.

    Accounts are in force as soon as there is a user, or from the beginning if ``always``.
    """

    def __init__(
        self, accounts: AccountStore, credentials: Sequence[Credentials], *, always: bool = False
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._in_force = always

    async def in_force(self) -> bool:
        """Return whether it matters who asks. Once it does, it does for good."""
        if not self._in_force:
            self._in_force = await self._accounts.any_users()
            if self._in_force:
                _logger.info("there are users: accounts are in force")
        return self._in_force

    async def actor(self, connection: AnyConnection) -> Actor:
        """Return who asks: ``EVERYBODY`` without accounts, ``ANONYMOUS`` without a credential.

        Raises:
            NotSignedIn: a credential is shown that is not good.
            InvalidRequest: one is not written as it has to be.

        """
        if not await self.in_force():
            return EVERYBODY
        for each in self._credentials:
            actor = await each.actor(connection)
            if actor is not None:
                return actor
        if bearer_token(connection) is not None:
            raise refused()
        return ANONYMOUS


def _note_end(connection: AnyConnection, key: ApiKey, now: datetime) -> None:
    if key.expires_at is not None and key.expires_at - now <= SOON:
        connection.scope["state"][KEY_END] = format_utc(key.expires_at)


def bearer_token(connection: AnyConnection) -> str | None:
    """Return what a request shows as ``Authorization: Bearer …``, None if it shows nothing so.

    Raises:
        InvalidRequest: there is more than one, or it is none as RFC 6750 has it.

    """
    shown = connection.headers.getall("authorization", [])
    bearers = [value for value in shown if value.partition(" ")[0].lower() == _SCHEME]
    if not bearers:
        return None
    token = bearers[0].partition(" ")[2].strip(" ")
    if len(shown) > 1 or not _TOKEN.fullmatch(token):
        raise InvalidRequest(
            "Authorization: is not one `Bearer` and a key or token behind it",
            hint=f"Send it as `Authorization: Bearer {KEY_PREFIX}…`, once.",
        )
    return token


def actor_of_key(key: ApiKey, user: User) -> Actor:
    """Return whom a key makes of who shows it: its user, or as much of that as it is good for."""
    roles = user.roles
    if key.organisation is not None:
        # A server admin is an admin of each; with such a key, of this one only.
        role = Role.ADMIN if user.server_admin else roles.get(key.organisation)
        roles = {} if role is None else {key.organisation: role}
    return Actor(
        user_id=user.id,
        name=user.name,
        server_admin=user.server_admin and key.organisation is None,
        roles=roles,
        scopes=key.scopes,
        credential=Credential.KEY,
        credential_id=key.id,
    )


def refused() -> NotSignedIn:
    """Return what is said of a credential that is not good, whyever."""
    return NotSignedIn(
        "the key, token or session is not good, or not any more",
        hint="Sign in again, or use another API key (ci login, CI_API_KEY).",
    )
