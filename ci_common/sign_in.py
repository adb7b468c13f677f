"""Sessions, one-time links and failed tries: what is kept so that people can sign in."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ci_common.accounts import User

_SECRET_BYTES = 32


def new_secret() -> str:
    """Return 256 random bits as text that goes into a URL and a cookie."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret that is random, so that a copy of the data opens nothing."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


class SignInMethod(StrEnum):
    """By what a session was opened."""

    PASSWORD = "password"  # noqa: S105 -- the word
    LINK = "link"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser, or another program with cookies, that a user has signed in with.

    ``id`` is public. ``expires_at`` comes whatever is done until then. ``address``
    and ``agent`` are what the program was known by when it signed in.
    """

    id: str
    user_id: str
    method: SignInMethod
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordLink:
    """A link that is good for choosing a password, once.

    ``user_id`` is None where there is no user yet: it makes the first admin.
    """

    user_id: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Throttle:
    """How failures that have something in common slow down those that follow.

    ``key`` stands for what they have in common. The first ``free`` of them cost
    nothing; then nobody may try for a second, and for twice as long after each
    that follows, up to ``longest`` seconds.
    """

    key: bytes
    free: int
    longest: float

    def wait_after(self, failures: int) -> float:
        """Return the seconds in which nobody may try after so many failures."""
        over = failures - self.free
        # Beyond that many it is the longest in any case, and floats end somewhere.
        return 0.0 if over <= 0 else min(self.longest, 2.0 ** min(over - 1, 32))


class SignInStore(Protocol):
    """Where this is kept. Durable; any number of tasks and processes may call at once.

    Sessions and links of a user end by themselves, in the same transaction, when
    the user is removed or disabled, or gets another password in whichever way.
    Every method may raise ``StorageBusy`` or ``DatabaseFull``; nothing was changed then.
    """

    async def add_session(self, session: Session, digest: bytes, *, place: bytes) -> None:
        """Store a session, known by the SHA-256 of what its cookie holds.

        ``place`` stands for where the user is, and is known from now on; sessions
        that have expired go. Raises ``UserNotFound``, also for a disabled user.
        """
        ...

    async def session_of(self, digest: bytes) -> Session | None:
        """Return the session with this SHA-256, expired or not; None if there is none."""
        ...

    async def session(self, session_id: str) -> Session | None:
        """Return the session with this id, expired or not; None if there is none."""
        ...

    async def sessions(self, user_id: str) -> Sequence[Session]:
        """Return a user's sessions, expired ones too, the one used last first."""
        ...

    async def note_session_use(self, session_id: str, at: datetime) -> None:
        """Note that a session was used; nothing if it is gone, or was used later."""
        ...

    async def end_session(self, user_id: str, session_id: str) -> bool:
        """End a session of a user; return whether there was one."""
        ...

    async def end_sessions(self, user_id: str, *, but: str | None = None) -> int:
        """End all sessions of a user but one; return how many that were."""
        ...

    async def add_link(self, link: PasswordLink, digest: bytes) -> None:
        """Store a link, known by the SHA-256 of its secret; the one before for the same goes.

        Raises ``UserNotFound``, also for a disabled user.
        """
        ...

    async def link_of(self, digest: bytes) -> PasswordLink | None:
        """Return the link with this SHA-256, expired or not; None if there is none (any more)."""
        ...

    async def use_link(self, digest: bytes, password: str, *, now: datetime) -> bool:
        """Give the user of a link a password (its hash); links and sessions of the user end.

        False, and nothing is changed: the link is not good (any more), or is for nobody.
        """
        ...

    async def use_first_link(self, digest: bytes, admin: User, *, now: datetime) -> bool:
        """Make the first user, by a link for that; the link ends.

        False, and nothing is changed: the link is not good (any more), or there is
        a user already.
        """
        ...

    async def rehash(self, user_id: str, *, old: str, new: str) -> None:
        """Keep the same password by other parameters; nothing if it has been changed since."""
        ...

    async def begin_attempt(
        self, throttles: Sequence[Throttle], *, now: datetime
    ) -> datetime | None:
        """Count a try as failed for all of ``throttles``, before it is known how it ends.

        So any number of tries at once are no more than one after the other. Returns
        None; or, when one of them lets nobody try now, until when that is: nothing
        is counted then, so that trying cannot keep others out. Failures are
        forgotten after an hour without one.
        """
        ...

    async def forgive(
        self, throttles: Sequence[Throttle], *, forget: Throttle | None = None
    ) -> None:
        """Take back what ``begin_attempt`` counted, as it was right; all of one is forgotten."""
        ...

    async def knows_place(self, user_id: str, place: bytes) -> bool:
        """Return whether a user has signed in from there in the last 90 days or so."""
        ...
