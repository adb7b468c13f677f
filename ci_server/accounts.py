"""Users and organisations as those who manage them see them: checked before they are kept.

The same for HTTP and for ``ci admin``: who may ask is settled before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from ci_common.access import Role
from ci_common.accounts import (
    AccountStore,
    Organisation,
    User,
    new_organisation_id,
    new_user_id,
    require_email,
    require_name,
)
from ci_common.api.accounts import (
    OrganisationChange,
    OrganisationRequest,
    UserChange,
    UserRequest,
    UserView,
    user_view,
)
from ci_common.audit import AuditedAction
from ci_common.clock import Clock
from ci_common.errors import UserNotFound

T = TypeVar("T")


class Record(Protocol):
    """Writes down who has done what, for whoever asks."""

    async def __call__(
        self,
        action: AuditedAction,
        subject: str = "",
        *,
        organisation: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Write it down; to be called when it is done."""
        ...


@dataclass(frozen=True, slots=True)
class Accounts:
    """Changes accounts, in whichever process it is. Users and organisations go by their names.

    ``record`` is told of everything that was changed. Whatever takes a name may raise
    ``UserNotFound`` or ``OrganisationNotFound``.
    """

    store: AccountStore
    clock: Clock
    record: Record

    async def add_user(self, asked: UserRequest, *, password: str | None = None) -> User:
        """Keep a new user. The first of all is a server admin, whatever is asked.

        ``password``: its hash. Raises ``InvalidRequest``, ``NameTaken``.
        """
        roles = {
            (await self.store.organisation_named(name)).id: role
            for name, role in asked.organisations.items()
        }
        user = User(
            id=new_user_id(),
            name=require_name(asked.name),
            created_at=self.clock.now().wall,
            email=require_email(asked.email),
            server_admin=asked.server_admin or not await self.store.any_users(),
            password=password,
            roles=roles,
        )
        await self.store.add_user(user)
        what = "a server admin" if user.server_admin else None
        await self.record(AuditedAction.USER_ADD, f"user {user.name}", detail=what)
        for organisation, role in roles.items():
            await self._record_role(organisation, user, role)
        return user

    async def change_user(self, name: str, asked: UserChange) -> User:
        """Change what is asked for. Raises ``InvalidRequest``, ``NameTaken``, ``LastAdmin``."""
        found = await self.store.user_named(name)
        now = self.clock.now().wall

        def change(user: User) -> User:
            return replace(
                user,
                name=user.name if asked.name is None else require_name(asked.name),
                email=user.email if asked.email is None else require_email(asked.email),
                server_admin=_or(asked.server_admin, user.server_admin),
                disabled_at=_disabled_at(user, asked, now),
            )

        changed = await self.store.change_user(found.id, change)
        await self.record(
            AuditedAction.USER_CHANGE, f"user {found.name}", detail=_changes_of_user(asked)
        )
        return changed

    async def remove_user(self, name: str) -> User:
        """Delete a user with its keys and sessions; return it as it was. Raises ``LastAdmin``."""
        user = await self.store.user_named(name)
        await self.store.remove_user(user.id)
        await self.record(AuditedAction.USER_REMOVE, f"user {user.name}")
        return user

    async def views(self, *users: User) -> list[UserView]:
        """Return what admins may see of users."""
        names = await self._organisation_names()
        return [user_view(user, names) for user in users]

    async def add_organisation(self, asked: OrganisationRequest) -> Organisation:
        """Keep a new organisation. Raises ``InvalidRequest``, ``NameTaken``."""
        organisation = Organisation(
            id=new_organisation_id(),
            name=require_name(asked.name),
            created_at=self.clock.now().wall,
            max_running=asked.max_running,
            max_queued=asked.max_queued,
            max_project_bytes=asked.max_project_bytes,
            max_artifact_bytes=asked.max_artifact_bytes,
        )
        await self.store.add_organisation(organisation)
        await self.record(
            AuditedAction.ORGANISATION_ADD,
            f"organisation {organisation.name}",
            organisation=organisation.id,
        )
        return organisation

    async def change_organisation(self, name: str, asked: OrganisationChange) -> Organisation:
        """Change what is asked for: name and quotas. Raises ``InvalidRequest``, ``NameTaken``."""
        found = await self.store.organisation_named(name)
        if not isinstance(asked.name, msgspec.UnsetType):
            require_name(asked.name)

        def change(organisation: Organisation) -> Organisation:
            return replace(
                organisation,
                name=_set(asked.name, organisation.name),
                max_running=_set(asked.max_running, organisation.max_running),
                max_queued=_set(asked.max_queued, organisation.max_queued),
                max_project_bytes=_set(asked.max_project_bytes, organisation.max_project_bytes),
                max_artifact_bytes=_set(asked.max_artifact_bytes, organisation.max_artifact_bytes),
            )

        changed = await self.store.change_organisation(found.id, change)
        asked_for = msgspec.to_builtins(asked)
        if asked_for:
            await self.record(
                AuditedAction.ORGANISATION_CHANGE,
                f"organisation {found.name}",
                organisation=found.id,
                detail=_told(asked_for),
            )
        return changed

    async def remove_organisation(self, name: str) -> Organisation:
        """Delete an organisation; return it as it was. Raises ``OrganisationInUse``."""
        organisation = await self.store.organisation_named(name)
        await self.store.remove_organisation(organisation.id)
        await self.record(
            AuditedAction.ORGANISATION_REMOVE,
            f"organisation {organisation.name}",
            organisation=organisation.id,
        )
        return organisation

    async def adopt(self, name: str) -> int:
        """Give an organisation what is nobody's; return how many jobs that were."""
        organisation = await self.store.organisation_named(name)
        jobs = await self.store.adopt(organisation.id)
        await self.record(
            AuditedAction.ORGANISATION_CHANGE,
            f"organisation {organisation.name}",
            organisation=organisation.id,
            detail=f"adopted {jobs} jobs of nobody",
        )
        return jobs

    async def members(self, organisation: Organisation) -> Sequence[User]:
        """Return the members of an organisation, by name."""
        return await self.store.users(organisation.id)

    async def set_role(self, organisation: Organisation, name: str, role: Role) -> User:
        """Give a user a role in an organisation; return the user as it is then."""
        user = await self.store.user_named(name)
        await self.store.set_role(organisation.id, user.id, role)
        await self._record_role(organisation.id, user, role)
        return await self.store.user(user.id)

    async def remove_member(self, organisation: Organisation, name: str) -> User:
        """End a membership; return the user as it was. Raises ``UserNotFound`` for no member."""
        # Who manages members learns by this only who is one.
        no_member = UserNotFound(f"there is no member {name[:80]!r} of {organisation.name}")
        try:
            user = await self.store.user_named(name)
        except UserNotFound:
            raise no_member from None
        if organisation.id not in user.roles:
            raise no_member
        await self.store.set_role(organisation.id, user.id, None)
        await self.record(
            AuditedAction.MEMBER_REMOVE, f"user {user.name}", organisation=organisation.id
        )
        return user

    async def _record_role(self, organisation: str, user: User, role: Role) -> None:
        await self.record(
            AuditedAction.MEMBER_SET,
            f"user {user.name}",
            organisation=organisation,
            detail=f"role: {role}",
        )

    async def _organisation_names(self) -> Mapping[str, str]:
        return {each.id: each.name for each in await self.store.organisations()}


def _disabled_at(user: User, asked: UserChange, now: datetime) -> datetime | None:
    if asked.disabled is None:
        return user.disabled_at
    return (user.disabled_at or now) if asked.disabled else None


def _changes_of_user(asked: UserChange) -> str:
    said = {name: value for name, value in msgspec.to_builtins(asked).items() if value is not None}
    # That it was changed is enough to know of an address.
    return _told(said | {"email": "…"} if "email" in said else said)


def _told(changes: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in changes.items())


def _or(asked: T | None, present: T) -> T:
    return present if asked is None else asked


def _set(asked: T | msgspec.UnsetType, present: T) -> T:
    return present if isinstance(asked, msgspec.UnsetType) else asked
