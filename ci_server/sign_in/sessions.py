"""Sessions: what a browser is known by once somebody has signed in with it."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ci_common.accounts import User
from ci_common.clock import Clock
from ci_common.sign_in import Session, SignInMethod, SignInStore, digest_of, new_secret
from ci_server.sign_in.throttling import place_of

_LONGEST_AGENT = 256
_NOTED_EVERY = timedelta(minutes=1)
"""A page may ask many times a second; each note is a write to the disk."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end: the client's address, and what program it says it is."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session, and the secret for its cookie, which is kept nowhere else."""

    session: Session
    secret: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens, finds and ends sessions.

    ``idle``: one that is not used for so long is over; ``lifetime``: so is one
    that is so old.
    """

    store: SignInStore
    clock: Clock
    idle: timedelta
    lifetime: timedelta

    async def open(self, user: User, method: SignInMethod, caller: Caller) -> Opened:
        """Open a session with an id that nobody has seen before. Raises ``UserNotFound``."""
        now, secret = self._now(), new_secret()
        session = Session(
            id=f"ses_{secrets.token_hex(8)}",
            user_id=user.id,
            method=method,
            created_at=now,
            last_seen_at=now,
            expires_at=now + self.lifetime,
            address=caller.address,
            agent=caller.agent[:_LONGEST_AGENT],
        )
        await self.store.add_session(session, digest_of(secret), place=place_of(caller.address))
        return Opened(session, secret)

    async def find(self, secret: str) -> Session | None:
        """Return the session of a cookie, and note that it is used; None if it is over."""
        session = await self.store.session_of(digest_of(secret))
        if session is None or not self._is_good(session):
            return None
        now = self._now()
        if now - session.last_seen_at >= min(_NOTED_EVERY, self.idle / 10):
            await self.store.note_session_use(session.id, now)
        return session

    async def is_good(self, session_id: str) -> bool:
        """Return whether a session still is; this does not use it."""
        session = await self.store.session(session_id)
        return session is not None and self._is_good(session)

    async def all(self, user_id: str) -> Sequence[Session]:
        """Return a user's sessions that are good, the one used last first."""
        return [each for each in await self.store.sessions(user_id) if self._is_good(each)]

    def _is_good(self, session: Session) -> bool:
        now = self._now()
        return now < session.expires_at and now - session.last_seen_at < self.idle

    def _now(self) -> datetime:
        return self.clock.now().wall


def form_token(secret: str) -> str:
    """Return what a form or a header has to repeat, for the session or the visit of ``secret``.

    A page of another site makes a browser send the cookie, but cannot read it.
    """
    mac = hmac.digest(secret.encode(), b"standby-ci form", hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def is_form_token(secret: str, said: str) -> bool:
    """Return whether ``said`` is that, in the same time for any."""
    return hmac.compare_digest(form_token(secret).encode(), said.encode("utf-8", "replace"))
