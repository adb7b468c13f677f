"""Accounts in SQLite (see ``AccountStore`` for the contract)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ci_common.access import Role
from ci_common.accounts import (
    ApiKey,
    KeyChange,
    Organisation,
    OrganisationChange,
    User,
    UserChange,
)
from ci_common.errors import KeyNotFound, OrganisationInUse
from ci_persistence import account_statements as sql
from ci_persistence.account_rows import (
    key_columns,
    key_from_row,
    organisation_columns,
    organisation_from_row,
    user_columns,
    user_from_row,
)
from ci_persistence.account_writes import (
    is_admin,
    no_key,
    no_organisation,
    no_user,
    require_free,
    require_free_name,
    require_other_admin,
    set_role,
    stored_key,
    stored_organisation,
    stored_user,
)
from ci_persistence.database import Database
from ci_persistence.job_rows import to_microseconds
from ci_persistence.job_writes import as_json
from ci_persistence.webhook_rows import storable

_USE_IS_NOTED_EVERY = timedelta(minutes=1)
"""A key may be used hundreds of times a second; each note is a write to the disk."""

_ADOPTED_AT_ONCE = 500
"""Jobs that change hands in one transaction: writes of running jobs come in between."""


class SQLiteAccountStore:
    """The tables ``users``, ``organisations``, ``memberships`` and ``api_keys``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_users = False
        self._uses: dict[str, datetime] = {}

    async def any_users(self) -> bool:
        """Return whether there is any user: accounts are in force then."""
        if not self._seen_users:
            (row,) = await self._database.fetch_all(sql.ANY_USERS)
            self._seen_users = bool(row[0])
        return self._seen_users

    async def add_user(self, user: User) -> None:
        """Store a new user. Raises ``NameTaken``, ``OrganisationNotFound``."""
        async with self._database.transaction() as transaction:
            await require_free(transaction, user)
            await transaction.execute(sql.ADD_USER, user_columns(user))
            for organisation, role in user.roles.items():
                await set_role(transaction, organisation, user.id, role)

    async def user(self, user_id: str) -> User:
        """Return a user by id. Raises ``UserNotFound``."""
        return await self._user(sql.USER_BY_ID, user_id)

    async def user_named(self, name: str) -> User:
        """Return a user by name, whatever its case. Raises ``UserNotFound``."""
        return await self._user(sql.USER_BY_NAME, name)

    async def user_known_as(self, issuer: str, subject: str) -> User:
        """Return the user that an OIDC provider knows by this. Raises ``UserNotFound``."""
        return await self._user(sql.USER_KNOWN_AS, subject, issuer)

    async def users(self, organisation: str | None = None) -> Sequence[User]:
        """Return all users, or the members of an organisation, by name."""
        if organisation is None:
            rows = await self._database.fetch_all(sql.USERS)
        else:
            rows = await self._database.fetch_all(sql.MEMBERS, (storable(organisation),))
        return [user_from_row(row) for row in rows]

    async def change_user(self, user_id: str, change: UserChange) -> User:
        """Change a user and return it. Raises ``UserNotFound``, ``NameTaken``, ``LastAdmin``."""
        async with self._database.transaction() as transaction:
            was = await stored_user(transaction, user_id)
            user = replace(change(was), id=was.id, created_at=was.created_at, roles=was.roles)
            await require_free(transaction, user)
            if is_admin(was) and not is_admin(user):
                await require_other_admin(transaction, user)
            await transaction.execute(sql.CHANGE_USER, user_columns(user))
        return user

    async def remove_user(self, user_id: str) -> None:
        """Delete a user with its keys and memberships. Raises ``UserNotFound``, ``LastAdmin``."""
        async with self._database.transaction() as transaction:
            await require_other_admin(transaction, await stored_user(transaction, user_id))
            await transaction.execute(sql.REMOVE_USER, (user_id,))

    async def add_organisation(self, organisation: Organisation) -> None:
        """Store a new organisation. Raises ``NameTaken``."""
        async with self._database.transaction() as transaction:
            await require_free_name(transaction, organisation)
            await transaction.execute(sql.ADD_ORGANISATION, organisation_columns(organisation))

    async def organisation(self, organisation_id: str) -> Organisation:
        """Return an organisation by id. Raises ``OrganisationNotFound``."""
        return await self._organisation(sql.ORGANISATION_BY_ID, organisation_id)

    async def organisation_named(self, name: str) -> Organisation:
        """Return an organisation by name, whatever its case. Raises ``OrganisationNotFound``."""
        return await self._organisation(sql.ORGANISATION_BY_NAME, name)

    async def organisations(self) -> Sequence[Organisation]:
        """Return all organisations, by name."""
        rows = await self._database.fetch_all(sql.ORGANISATIONS)
        return [organisation_from_row(row) for row in rows]

    async def change_organisation(
        self, organisation_id: str, change: OrganisationChange
    ) -> Organisation:
        """Change its name and quotas. Raises ``OrganisationNotFound``, ``NameTaken``."""
        async with self._database.transaction() as transaction:
            was = await stored_organisation(transaction, organisation_id)
            changed = replace(change(was), id=was.id, created_at=was.created_at)
            await require_free_name(transaction, changed)
            await transaction.execute(sql.CHANGE_ORGANISATION, organisation_columns(changed))
        return changed

    async def remove_organisation(self, organisation_id: str) -> None:
        """Delete an organisation. Raises ``OrganisationNotFound``, ``OrganisationInUse``."""
        async with self._database.transaction() as transaction:
            organisation = await stored_organisation(transaction, organisation_id)
            if await transaction.fetch_one(sql.HAS_JOBS, (organisation.id,)) is not None:
                raise OrganisationInUse(
                    f"{organisation.name} has jobs",
                    hint="wait until its jobs have ended and are removed after a while",
                )
            await transaction.execute(sql.REMOVE_WEBHOOKS, (organisation.id,))
            await transaction.execute(sql.REMOVE_ORGANISATION, (organisation.id,))

    async def adopt(self, organisation_id: str) -> int:
        """Give an organisation what is nobody's. Raises ``OrganisationNotFound``."""
        async with self._database.transaction() as transaction:
            await stored_organisation(transaction, organisation_id)
            await transaction.execute(sql.ADOPT_WEBHOOKS, (organisation_id,))
        adopted, after = 0, 0
        while True:
            values = {"after": after, "limit": _ADOPTED_AT_ONCE}
            rows = await self._database.fetch_all(sql.NOBODYS_ENDED, values)
            if not rows:
                return adopted
            adopted += await self._adopt_jobs(organisation_id, [row["id"] for row in rows])
            after = rows[-1]["seq"]

    async def _adopt_jobs(self, organisation_id: str, job_ids: Sequence[str]) -> int:
        values = {"organisation": organisation_id, "ids": as_json(job_ids)}
        async with self._database.transaction() as transaction:
            await stored_organisation(transaction, organisation_id)
            await transaction.execute(sql.FORGET_TAKEN_KEYS, values)
            await transaction.execute(sql.ADOPT_EVENTS, values)
            return await transaction.execute(sql.ADOPT_JOBS, values)

    async def set_role(self, organisation: str, user_id: str, role: Role | None) -> None:
        """Give or take a role. Raises ``OrganisationNotFound``, ``UserNotFound``."""
        async with self._database.transaction() as transaction:
            await stored_user(transaction, user_id)
            await set_role(transaction, organisation, user_id, role)

    async def add_key(self, key: ApiKey, digest: bytes) -> None:
        """Store a key by its SHA-256. Raises ``UserNotFound``, ``OrganisationNotFound``."""
        async with self._database.transaction() as transaction:
            await stored_user(transaction, key.user_id)
            if key.organisation is not None:
                await stored_organisation(transaction, key.organisation)
            await transaction.execute(sql.ADD_KEY, {**key_columns(key), "sha256": digest})

    async def key_of(self, digest: bytes) -> tuple[ApiKey, User]:
        """Return the key with this SHA-256, and its user. Raises ``KeyNotFound``."""
        row = await self._database.fetch_one(sql.KEY_BY_DIGEST, (digest,))
        if row is None:
            raise KeyNotFound
        return key_from_row(row), user_from_row(row)

    async def key(self, key_id: str) -> ApiKey:
        """Return a key by its public id. Raises ``KeyNotFound``."""
        row = await self._database.fetch_one(sql.KEY_BY_ID, (storable(key_id),))
        if row is None:
            raise no_key(key_id)
        return key_from_row(row)

    async def keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        """Return the keys of a user, or all, newest first."""
        if user_id is None:
            rows = await self._database.fetch_all(sql.KEYS)
        else:
            rows = await self._database.fetch_all(sql.KEYS_OF, (storable(user_id),))
        return [key_from_row(row) for row in rows]

    async def change_key(self, key_id: str, change: KeyChange) -> ApiKey:
        """Change a key and return it. Raises ``KeyNotFound``."""
        async with self._database.transaction() as transaction:
            changed = change(await stored_key(transaction, key_id))
            await transaction.execute(sql.CHANGE_KEY, {**key_columns(changed), "id": key_id})
            return await stored_key(transaction, key_id)

    async def note_key_use(self, key_id: str, at: datetime) -> None:
        """Note when a key was used last, once a minute at most."""
        noted = self._uses.get(key_id)
        if noted is not None and abs(at - noted) < _USE_IS_NOTED_EVERY:
            return
        async with self._database.transaction() as transaction:
            values = {"id": key_id, "at": to_microseconds(at)}
            await transaction.execute(sql.NOTE_KEY_USE, values)
        self._uses[key_id] = at

    async def _user(self, statement: str, known_by: str, *more: str) -> User:
        row = await self._database.fetch_one(statement, [*map(storable, (*more, known_by))])
        if row is None:
            raise no_user(known_by)
        return user_from_row(row)

    async def _organisation(self, statement: str, known_by: str) -> Organisation:
        row = await self._database.fetch_one(statement, (storable(known_by),))
        if row is None:
            raise no_organisation(known_by)
        return organisation_from_row(row)
