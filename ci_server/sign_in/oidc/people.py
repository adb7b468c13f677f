"""Which user a provider's word makes of somebody, and with which roles."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ci_common.access import Role
from ci_common.accounts import AccountStore, User, new_user_id
from ci_common.clock import Clock
from ci_common.errors import (
    LastAdmin,
    NameTaken,
    OrganisationNotFound,
    SignInRefused,
    UserNotFound,
)
from ci_server.setting_types import SERVER_ADMIN
from ci_server.sign_in.oidc.provider import Identity

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 64

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRules:
    """What of a provider's word counts.

    ``groups`` maps groups to ``organisation:role`` or ``server-admin``. With
    ``domains`` only who has a verified address in one of them may sign in.
    """

    name_claim: str = "preferred_username"
    groups_claim: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    domains: Sequence[str] = ()
    creates: bool = False

    @property
    def claims(self) -> frozenset[str]:
        """The claims that are needed."""
        named = {self.name_claim if self.creates else "", self.groups_claim}
        return frozenset((named | ({"email"} if self.domains else set())) - {""})


@dataclass(frozen=True, slots=True)
class People:
    """Finds and makes users. By issuer and subject only: what else is told can change hands."""

    accounts: AccountStore
    clock: Clock
    rules: PeopleRules

    async def user_of(self, identity: Identity) -> User:
        """Return the user that this is, with the roles that its groups give it.

        Raises:
            SignInRefused: it may not sign in here; the text says why.

        """
        self._require_domain(identity.claims)
        try:
            user = await self.accounts.user_known_as(identity.issuer, identity.subject)
        except UserNotFound:
            user = await self._new(identity)
        if user.disabled_at is not None:
            raise SignInRefused("this account is disabled")
        if self.rules.groups_claim:
            await self._give_roles(user, _texts(identity.claims.get(self.rules.groups_claim)))
        return await self.accounts.user(user.id)

    async def connect(self, user_id: str, identity: Identity) -> User:
        """Have a user be known by the provider from now on.

        Raises:
            SignInRefused: another user is, or the account may not.

        """
        self._require_domain(identity.claims)
        try:
            return await self.accounts.change_user(
                user_id,
                lambda user: replace(user, issuer=identity.issuer, subject=identity.subject),
            )
        except NameTaken:
            raise SignInRefused("another user here is that account at the provider") from None

    async def _new(self, identity: Identity) -> User:
        if not self.rules.creates:
            raise SignInRefused(
                "nobody here is known by this account",
                hint="If you have a password here, sign in with it and connect the account.",
            )
        said = str(identity.claims.get(self.rules.name_claim) or "").partition("@")[0]
        name = _UNFIT.sub("-", said).strip("._-")[:_LONGEST_NAME]
        if not name:
            raise SignInRefused(f"the provider tells no name ({self.rules.name_claim})")
        user = User(
            id=new_user_id(),
            name=name,
            created_at=self.clock.now().wall,
            email=str(identity.claims.get("email") or ""),
            issuer=identity.issuer,
            subject=identity.subject,
        )
        try:
            await self.accounts.add_user(user)
        except NameTaken:
            raise SignInRefused(
                f"there is a user {name!r} already, who is not known to be you",
                hint="If that is you, sign in with your password and connect the account.",
            ) from None
        return user

    async def _give_roles(self, user: User, groups: Sequence[str]) -> None:
        """Have the roles of all organisations that groups are mapped to be as the groups say."""
        admin = any(self.rules.groups.get(group) == SERVER_ADMIN for group in groups)
        if SERVER_ADMIN in self.rules.groups.values() and user.server_admin != admin:
            try:
                await self.accounts.change_user(user.id, lambda it: replace(it, server_admin=admin))
            except LastAdmin:
                _logger.warning("%s stays server admin: there is no other", user.name)
        for name, role in roles_of(self.rules.groups, groups).items():
            try:
                organisation = await self.accounts.organisation_named(name)
            except OrganisationNotFound:
                _logger.warning("CI_OIDC_GROUPS: there is no organisation %r", name)
                continue
            if user.roles.get(organisation.id) is not role:
                await self.accounts.set_role(organisation.id, user.id, role)

    def _require_domain(self, claims: Mapping[str, Any]) -> None:
        if not self.rules.domains:
            return
        domain = str(claims.get("email") or "").rpartition("@")[2].lower()
        if claims.get("email_verified") is not True or domain not in self.rules.domains:
            raise SignInRefused("only some domains may sign in here, and yours is none of them")


def roles_of(mapping: Mapping[str, str], groups: Sequence[str]) -> Mapping[str, Role | None]:
    """Return the highest role that groups give, by the name of each organisation that is mapped.

    None: no group of these gives one.
    """
    found: dict[str, Role | None] = {}
    for group, given in mapping.items():
        name, colon, text = given.rpartition(":")
        if not colon:
            continue
        present = found.setdefault(name, None)
        role = Role(text)
        if group in groups and (present is None or role.includes(present)):
            found[name] = role
    return found


def _texts(value: object) -> Sequence[str]:
    if isinstance(value, str):
        return (value,)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else ()
