"""What writing accounts takes in a transaction, and the errors of what is not there."""

from typing import Any

from ci_common.access import Role
from ci_common.accounts import ApiKey, Organisation, User
from ci_common.errors import (
    KeyNotFound,
    LastAdmin,
    NameTaken,
    OrganisationNotFound,
    UserNotFound,
)
from ci_persistence import account_statements as sql
from ci_persistence.account_rows import key_from_row, organisation_from_row, user_from_row
from ci_persistence.database import Transaction
from ci_persistence.webhook_rows import storable


async def stored_user(transaction: Transaction, user_id: str) -> User:
    """Return a user by id. Raises ``UserNotFound``."""
    row = await transaction.fetch_one(sql.USER_BY_ID, (storable(user_id),))
    if row is None:
        raise no_user(user_id)
    return user_from_row(row)


async def stored_organisation(transaction: Transaction, organisation_id: str) -> Organisation:
    """Return an organisation by id. Raises ``OrganisationNotFound``."""
    row = await transaction.fetch_one(sql.ORGANISATION_BY_ID, (storable(organisation_id),))
    if row is None:
        raise no_organisation(organisation_id)
    return organisation_from_row(row)


async def stored_key(transaction: Transaction, key_id: str) -> ApiKey:
    """Return a key by its public id. Raises ``KeyNotFound``."""
    row = await transaction.fetch_one(sql.KEY_BY_ID, (storable(key_id),))
    if row is None:
        raise no_key(key_id)
    return key_from_row(row)


async def set_role(
    transaction: Transaction, organisation: str, user_id: str, role: Role | None
) -> None:
    """Give a user that there is a role, or take it. Raises ``OrganisationNotFound``."""
    await stored_organisation(transaction, organisation)
    values: dict[str, Any] = {"organisation": organisation, "user": user_id}
    if role is None:
        await transaction.execute(sql.END_MEMBERSHIP, values)
    else:
        await transaction.execute(sql.SET_ROLE, {**values, "role": role.value})


def is_admin(user: User) -> bool:
    """Return whether a user is a server admin who can sign in."""
    return user.server_admin and user.disabled_at is None


async def require_other_admin(transaction: Transaction, user: User) -> None:
    """Raise ``LastAdmin`` if nobody but ``user`` is a server admin who can sign in."""
    if await transaction.fetch_one(sql.OTHER_ADMIN, (user.id,)) is None:
        raise LastAdmin(
            f"without {user.name} nobody would be left who is a server admin",
            hint="make another user a server admin first",
        )


async def require_free(transaction: Transaction, user: User) -> None:
    """Raise ``NameTaken`` if another user has its name, or its issuer and subject."""
    if await transaction.fetch_one(sql.SAME_NAME, {"name": user.name, "id": user.id}) is not None:
        raise _taken("a user", user.name)
    known_as = {"issuer": user.issuer, "subject": user.subject, "id": user.id}
    if await transaction.fetch_one(sql.SAME_SUBJECT, known_as) is not None:
        raise NameTaken(f"another user is {user.subject!r} at {user.issuer}")


async def require_free_name(transaction: Transaction, organisation: Organisation) -> None:
    """Raise ``NameTaken`` if another organisation has its name."""
    values = {"name": organisation.name, "id": organisation.id}
    if await transaction.fetch_one(sql.SAME_ORGANISATION, values) is not None:
        raise _taken("an organisation", organisation.name)


def _taken(what: str, name: str) -> NameTaken:
    return NameTaken(
        f"there is {what} {name!r} already",
        hint="take another name; capitals make no difference",
    )


def no_user(known_by: str) -> UserNotFound:
    """Return the error of a user that there is not."""
    return UserNotFound(
        f"there is no user {known_by!r}", hint="On the server, `ci admin user ls` shows all."
    )


def no_organisation(known_by: str) -> OrganisationNotFound:
    """Return the error of an organisation that there is not."""
    return OrganisationNotFound(
        f"there is no organisation {known_by!r}",
        hint="`ci whoami` shows yours; on the server, `ci admin org ls` shows all.",
    )


def no_key(key_id: str) -> KeyNotFound:
    """Return the error of a key that there is not."""
    return KeyNotFound(f"there is no API key {key_id!r}")
