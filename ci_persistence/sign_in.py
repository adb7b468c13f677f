"""Sessions, one-time links and failed tries in SQLite (see ``SignInStore`` for the contract)."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ci_common.accounts import User
from ci_common.errors import UserNotFound
from ci_common.sign_in import PasswordLink, Session, SignInMethod, Throttle
from ci_persistence import sign_in_statements as sql
from ci_persistence.database import Database, Transaction
from ci_persistence.job_rows import from_microseconds, to_microseconds
from ci_persistence.webhook_rows import storable

FORGET_FAILURES = timedelta(hours=1)
"""Without a failure in the meantime."""

FORGET_PLACES = timedelta(days=90)


class SQLiteSignInStore:
    """The tables ``sessions``, ``password_links``, ``sign_in_failures`` and ``sign_in_places``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_session(self, session: Session, digest: bytes, *, place: bytes) -> None:
        """Store a session; forget those that have expired. Raises ``UserNotFound``."""
        created = to_microseconds(session.created_at)
        where = {"user": session.user_id, "place": place, "now": created}
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.PRUNE_SESSIONS, (created,))
            if not await transaction.execute(sql.ADD_SESSION, _columns_of(session, digest)):
                raise _nobody(session.user_id)
            old = to_microseconds(session.created_at - FORGET_PLACES)
            await transaction.execute(sql.PRUNE_PLACES, (session.user_id, old))
            await transaction.execute(sql.NOTE_PLACE, where)

    async def session_of(self, digest: bytes) -> Session | None:
        """Return the session with this SHA-256, expired or not; None if there is none."""
        return _session(await self._database.fetch_one(sql.SESSION_OF, (digest,)))

    async def session(self, session_id: str) -> Session | None:
        """Return the session with this id, expired or not; None if there is none."""
        return _session(await self._database.fetch_one(sql.SESSION, (storable(session_id),)))

    async def sessions(self, user_id: str) -> Sequence[Session]:
        """Return a user's sessions, expired ones too, the one used last first."""
        rows = await self._database.fetch_all(sql.SESSIONS, (user_id,))
        return [session_from_row(row) for row in rows]

    async def note_session_use(self, session_id: str, at: datetime) -> None:
        """Note that a session was used; nothing if it is gone, or was used later."""
        values = {"id": session_id, "at": to_microseconds(at)}
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.NOTE_SESSION_USE, values)

    async def end_session(self, user_id: str, session_id: str) -> bool:
        """End a session of a user; return whether there was one."""
        async with self._database.transaction() as transaction:
            ended = await transaction.execute(sql.END_SESSION, (storable(session_id), user_id))
        return bool(ended)

    async def end_sessions(self, user_id: str, *, but: str | None = None) -> int:
        """End all sessions of a user but one; return how many that were."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql.END_SESSIONS, (user_id, but))

    async def add_link(self, link: PasswordLink, digest: bytes) -> None:
        """Store a link; the one before for the same goes. Raises ``UserNotFound``."""
        values = {
            "sha256": digest,
            "user": link.user_id,
            "created": to_microseconds(link.created_at),
            "expires": to_microseconds(link.expires_at),
        }
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.DROP_LINKS, (link.user_id,))
            if not await transaction.execute(sql.ADD_LINK, values):
                raise _nobody(str(link.user_id))

    async def link_of(self, digest: bytes) -> PasswordLink | None:
        """Return the link with this SHA-256, expired or not; None if there is none (any more)."""
        row = await self._database.fetch_one(sql.LINK_OF, (digest,))
        if row is None:
            return None
        return PasswordLink(
            user_id=row["user"],
            created_at=from_microseconds(row["created"]),
            expires_at=from_microseconds(row["expires"]),
        )

    async def use_link(self, digest: bytes, password: str, *, now: datetime) -> bool:
        """Give the user of a link a password; False if the link is not good (any more)."""
        values = {"sha256": digest, "password": password, "now": to_microseconds(now)}
        async with self._database.transaction() as transaction:
            # The link goes with the user's others, by a trigger.
            return bool(await transaction.execute(sql.USE_LINK, values))

    async def use_first_link(self, digest: bytes, admin: User, *, now: datetime) -> bool:
        """Make the first user; False if the link is not good (any more), or there is one."""
        values = {
            "sha256": digest,
            "now": to_microseconds(now),
            "id": admin.id,
            "name": admin.name,
            "email": admin.email,
            "created": to_microseconds(admin.created_at),
            "password": admin.password,
        }
        async with self._database.transaction() as transaction:
            if not await transaction.execute(sql.USE_FIRST_LINK, values):
                return False
            await transaction.execute(sql.DROP_LINKS, (None,))
            return True

    async def rehash(self, user_id: str, *, old: str, new: str) -> None:
        """Keep the same password by other parameters; nothing if it has been changed since."""
        values = {"user": user_id, "old": old, "new": new}
        async with self._database.transaction() as transaction:
            # A trigger takes it for another password, and ends what is not to end.
            sessions = await transaction.fetch_all(sql.WHOLE_SESSIONS, (user_id,))
            if await transaction.execute(sql.REHASH, values):
                await transaction.execute_many(sql.ADD_SESSION, [dict(row) for row in sessions])

    async def begin_attempt(
        self, throttles: Sequence[Throttle], *, now: datetime
    ) -> datetime | None:
        """Count a try as failed; or return until when nobody may try, and count nothing."""
        forgotten = to_microseconds(now - FORGET_FAILURES)
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.PRUNE_FAILURES, (forgotten,))
            found = {each.key: await _failures(transaction, each.key) for each in throttles}
            until = max((until for _, until in found.values()), default=0)
            if until > to_microseconds(now):
                return from_microseconds(until)
            for each in throttles:
                failures = found[each.key][0] + 1
                pause = timedelta(seconds=each.wait_after(failures))
                values = {"sha256": each.key, "failures": failures, "now": to_microseconds(now)}
                await transaction.execute(
                    sql.COUNT_FAILURE, values | {"until": to_microseconds(now + pause)}
                )
        return None

    async def forgive(
        self, throttles: Sequence[Throttle], *, forget: Throttle | None = None
    ) -> None:
        """Take back what ``begin_attempt`` counted; all of ``forget`` is forgotten."""
        async with self._database.transaction() as transaction:
            for each in throttles:
                await transaction.execute(sql.FORGIVE, (each.key,))
            if forget is not None:
                await transaction.execute(sql.FORGET, (forget.key,))

    async def knows_place(self, user_id: str, place: bytes) -> bool:
        """Return whether a user has signed in from there in the last 90 days or so."""
        return await self._database.fetch_one(sql.KNOWS_PLACE, (user_id, place)) is not None


def session_from_row(row: sqlite3.Row) -> Session:
    """Return the session in a row that has ``SESSION``."""
    return Session(
        id=row["id"],
        user_id=row["user"],
        method=SignInMethod(row["method"]),
        address=row["address"],
        agent=row["agent"],
        created_at=from_microseconds(row["created"]),
        last_seen_at=from_microseconds(row["last_seen"]),
        expires_at=from_microseconds(row["expires"]),
    )


def _session(row: sqlite3.Row | None) -> Session | None:
    return None if row is None else session_from_row(row)


def _columns_of(session: Session, digest: bytes) -> Mapping[str, Any]:
    return {
        "id": session.id,
        "sha256": digest,
        "user": session.user_id,
        "method": session.method.value,
        "address": storable(session.address),
        "agent": storable(session.agent),
        "created": to_microseconds(session.created_at),
        "last_seen": to_microseconds(session.last_seen_at),
        "expires": to_microseconds(session.expires_at),
    }


async def _failures(transaction: Transaction, key: bytes) -> tuple[int, int]:
    """Return how many failures there were, and until when nobody may try."""
    row = await transaction.fetch_one(sql.FAILURES, (key,))
    return (0, 0) if row is None else (row["failures"], row["until"])


def _nobody(user_id: str) -> UserNotFound:
    return UserNotFound(f"there is no user {user_id!r} who may sign in")
