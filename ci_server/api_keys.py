"""API keys as those who have them see them: made, listed, rotated and revoked."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ci_common.access import Action, Actor, Credential, OfUser, Role, Scope, can
from ci_common.accounts import AccountStore, ApiKey, User
from ci_common.api.api_keys import KeyRequest, KeyRotation
from ci_common.api_keys import digest_of, hint_of, new_key
from ci_common.clock import Clock, format_utc
from ci_common.errors import (
    CIError,
    InvalidRequest,
    InvalidTransition,
    KeyNotFound,
    OrganisationNotFound,
    PermissionDenied,
    UserNotFound,
)
from ci_common.quantities import format_seconds

MOST_KEYS = 100
"""Good keys of a user: more are left behind by a script that makes them and forgets them."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """Makes and ends keys on behalf of actors. ``max_age``: seconds, 0 for no bound.

    What an actor may not see is not there for it: ``KeyNotFound``, ``UserNotFound``.
    """

    accounts: AccountStore
    clock: Clock
    max_age: float

    async def owner(self, actor: Actor, name: str | None) -> User:
        """Return the user whose keys are meant: ``actor`` itself, unless a ``name`` is given.

        Raises:
            UserNotFound: there is none of that name, or its keys are not the actor's business.
            PermissionDenied: the server has no accounts.

        """
        if actor.unlimited:
            raise PermissionDenied(
                "this server has no accounts, and so no API keys",
                hint="The first user is made on the server's machine: ci admin user create NAME.",
            )
        unknown = UserNotFound(f"there is no user {name!r} whose keys you may manage")
        try:
            found = await (
                self.accounts.user_named(name) if name else self.accounts.user(actor.user_id)
            )
        except UserNotFound:
            raise unknown from None
        if not can(actor, Action.MANAGE_OWN_KEYS, OfUser(found.id)):
            raise unknown
        return found

    async def of(self, user: User, *, ended: bool) -> Sequence[ApiKey]:
        """Return the good keys of a user, newest first; or also those that have ended."""
        now = self.clock.now().wall
        return [each for each in await self.accounts.keys(user.id) if ended or each.is_good(now)]

    async def get(self, actor: Actor, key_id: str) -> ApiKey:
        """Return a key that ``actor`` may manage. Raises ``KeyNotFound``."""
        found = await self.accounts.key(key_id)
        if not can(actor, Action.MANAGE_OWN_KEYS, OfUser(found.user_id)):
            raise KeyNotFound(f"there is no API key {key_id!r}")
        return found

    async def make(self, actor: Actor, asked: KeyRequest) -> tuple[ApiKey, str]:
        """Make a key; return it, and the key itself, which is not kept.

        Raises:
            UserNotFound, OrganisationNotFound: as they are named.
            PermissionDenied: it could do more than whoever asks for it, or that is a token.
            InvalidRequest: it would live too long, or the user has too many.

        """
        owner = await self.owner(actor, asked.user)
        organisation = await self._organisation(owner, asked.organisation)
        own = await self._key_of(actor)
        require_reach(actor, owner, asked.scopes, organisation, own)
        latest = None if own is None else own.expires_at
        return await self._make(owner, organisation, asked, latest)

    async def make_on_the_machine(self, owner: User, asked: KeyRequest) -> tuple[ApiKey, str]:
        """Make a key for who may write the server's files, and so is above its accounts.

        Raises ``OrganisationNotFound``, ``InvalidRequest``.
        """
        organisation = await self._organisation(owner, asked.organisation)
        return await self._make(owner, organisation, asked, None)

    async def rotate(self, actor: Actor, key_id: str, asked: KeyRotation) -> tuple[ApiKey, str]:
        """Make a key in place of another, which ends soon; return it, and the key itself.

        A crash in between leaves the old one as it was, and a new one that nobody knows.

        Raises:
            KeyNotFound: there is no such key.
            PermissionDenied: it can do more than whoever asks, or that is a token.
            InvalidRequest: the new one would live too long.
            InvalidTransition: it is not good any more, or was rotated before.

        """
        old = await self.get(actor, key_id)
        now = self.clock.now().wall
        _require_rotatable(old, now)
        owner, own = await self.accounts.user(old.user_id), await self._key_of(actor)
        require_reach(actor, owner, old.scopes, old.organisation, own)
        # A key that replaces itself begins anew; one that replaces others does not let them
        # outlive it.
        latest = None if own is None or own.id == old.id else own.expires_at
        expires = self._end(now, asked.expires_in, latest, before=old)
        new, secret = await self._add(
            replace(
                old, id=_new_id(), created_at=now, expires_at=expires, last_used_at=None,
            )
        )  # fmt: skip
        end = now + timedelta(seconds=asked.overlap)

        def give_way(present: ApiKey) -> ApiKey:
            _require_rotatable(present, now)
            until = end if present.expires_at is None else min(present.expires_at, end)
            return replace(present, expires_at=until, replaced_by=new.id)

        try:
            await self.accounts.change_key(old.id, give_way)
        except CIError:  # somebody else was faster
            await self.revoke(new.id)
            raise
        return new, secret

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key for good, at once; return it. One that was revoked stays as it is."""
        now = self.clock.now().wall
        return await self.accounts.change_key(key_id, lambda it: replace(it, revoked_at=now))

    async def _make(
        self, owner: User, organisation: str | None, asked: KeyRequest, latest: datetime | None
    ) -> tuple[ApiKey, str]:
        if len(await self.of(owner, ended=False)) >= MOST_KEYS:
            raise InvalidRequest(
                f"{owner.name} has {MOST_KEYS} API keys already", hint="Revoke one first."
            )
        now = self.clock.now().wall
        key = ApiKey(
            id=_new_id(),
            user_id=owner.id,
            name=asked.name,
            hint="",
            created_at=now,
            scopes=frozenset(asked.scopes),
            organisation=organisation,
            expires_at=self._end(now, asked.expires_in, latest),
        )
        return await self._add(key)

    async def _add(self, key: ApiKey) -> tuple[ApiKey, str]:
        secret = new_key()
        key = replace(key, hint=hint_of(secret))
        await self.accounts.add_key(key, digest_of(secret))
        return key, secret

    async def _organisation(self, owner: User, name: str | None) -> str | None:
        if name is None:
            return None
        unknown = OrganisationNotFound(f"{owner.name} is in no organisation {name!r}")
        try:
            found = await self.accounts.organisation_named(name)
        except OrganisationNotFound:
            raise unknown from None
        if not owner.server_admin and found.id not in owner.roles:
            raise unknown
        return found.id

    async def _key_of(self, actor: Actor) -> ApiKey | None:
        """Return the key by which ``actor`` is known; None if it is by no credential that ends so.

        Raises:
            PermissionDenied: it is by a token, which is to leave nothing behind that outlives it.

        """
        if actor.credential is Credential.TOKEN:
            raise PermissionDenied(
                "a token makes no API keys: they would be good for longer than it is",
                hint="Make them with the key that it was got with, or signed in at the server.",
            )
        if actor.credential is not Credential.KEY:
            return None
        return await self.accounts.key(actor.credential_id)

    def _end(
        self,
        now: datetime,
        asked: float | None,
        latest: datetime | None,
        *,
        before: ApiKey | None = None,
    ) -> datetime | None:
        """Return the end of a new key: as ``asked``, else as far off as the ``before`` was made.

        Raises:
            InvalidRequest: it is asked to be later than it may be.

        """
        bounds = [latest] if latest else []
        bounds += [now + timedelta(seconds=self.max_age)] if self.max_age else []
        if asked is None:
            if before is not None and before.expires_at is not None:
                bounds.append(now + (before.expires_at - before.created_at))
            return min(bounds, default=None)
        end = now + timedelta(seconds=asked)
        if self.max_age and asked > self.max_age:
            raise InvalidRequest(
                f"expires_in: keys of this server live for {format_seconds(self.max_age)} at most",
                hint="Ask for less, or leave it out.",
            )
        if latest is not None and end > latest:
            raise InvalidRequest(
                f"expires_in: it cannot outlive the key it is made with ({format_utc(latest)})",
                hint="Ask for less, or leave it out.",
            )
        return end


def require_reach(
    actor: Actor,
    owner: User,
    scopes: Collection[Scope],
    organisation: str | None,
    own: ApiKey | None = None,
) -> None:
    """Return if ``actor`` can do all that a key of ``owner`` with these could, now and later.

    ``own`` is the key by which ``actor`` is known, if it is by one.

    Raises:
        PermissionDenied: it could do more.

    """
    beyond = [scope for scope in Scope if scope in scopes and scope not in actor.scopes]
    if beyond:
        raise PermissionDenied(
            f"a key cannot make one with a scope that it lacks itself (`{beyond[0]}`)",
            hint="Make it with another key, or signed in at the server.",
        )
    if actor.server_admin:
        return
    roles = owner.roles if organisation is None else {
        organisation: Role.ADMIN if owner.server_admin else owner.roles[organisation]
    }  # fmt: skip
    everywhere = owner.server_admin and organisation is None
    # What the owner is given later is not for a key of one organisation either.
    beyond_own = own is not None and own.organisation not in {None, organisation}
    if everywhere or beyond_own or not all(_reaches(actor, *each) for each in roles.items()):
        raise PermissionDenied(
            "a key that is good for one organisation cannot make one that is good for others",
            hint="Name its organisation, or make it with another key.",
        )


def _reaches(actor: Actor, organisation: str, role: Role) -> bool:
    own = actor.roles.get(organisation)
    return own is not None and own.includes(role)


def _require_rotatable(key: ApiKey, now: datetime) -> None:
    if not key.is_good(now):
        raise InvalidTransition(
            "this key is not good any more, so there is nothing to replace",
            hint="Make another one: ci key create",
        )
    if key.replaced_by is not None:
        raise InvalidTransition(
            f"this key was replaced by {key.replaced_by} already",
            hint=f"Rotate that one: ci key rotate {key.replaced_by}",
        )


def _new_id() -> str:
    return f"key_{secrets.token_hex(8)}"
