"""The one rule that decides who may do what: pure, and the same for every way in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from ci_common.access.model import (
    Action,
    Actor,
    OfOrganisation,
    OfServer,
    OfUser,
    Resource,
    Role,
    Scope,
    Within,
)


@dataclass(frozen=True, slots=True)
class _Needs:
    """What an action takes: a scope, and a role where it is about an organisation.

    Without a role it is a server admin's there. ``own``: anybody may do it to
    themselves; else it is a server admin's, too.
    """

    scope: Scope | None
    role: Role | None = None
    own: bool = False


_NEEDS: Mapping[Action, _Needs] = MappingProxyType(
    {
        Action.BE_THERE: _Needs(None),
        Action.KNOW_ONESELF: _Needs(None, own=True),
        Action.MANAGE_OWN_KEYS: _Needs(Scope.ADMIN, own=True),
        Action.READ: _Needs(Scope.READ, Role.VIEWER),
        Action.SUBMIT: _Needs(Scope.SUBMIT, Role.MEMBER),
        Action.CANCEL: _Needs(Scope.SUBMIT, Role.MEMBER),
        Action.PRUNE_CACHE: _Needs(Scope.ADMIN, Role.ADMIN),
        Action.READ_WEBHOOKS: _Needs(Scope.READ, Role.ADMIN),
        Action.MANAGE_WEBHOOKS: _Needs(Scope.ADMIN, Role.ADMIN),
        Action.LIST_SECRETS: _Needs(Scope.READ, Role.MEMBER),
        Action.MANAGE_SECRETS: _Needs(Scope.ADMIN, Role.ADMIN),
        Action.READ_MEMBERS: _Needs(Scope.READ, Role.VIEWER),
        Action.MANAGE_MEMBERS: _Needs(Scope.ADMIN, Role.ADMIN),
        Action.READ_AUDIT: _Needs(Scope.ADMIN, Role.ADMIN),
        Action.MANAGE_ACCOUNTS: _Needs(Scope.ADMIN),
        Action.OPERATE: _Needs(Scope.READ),
    }
)


def can(actor: Actor, action: Action, resource: Resource) -> bool:
    """Return whether ``actor`` may do ``action`` to ``resource``."""
    if actor.unlimited or action is Action.BE_THERE:
        return True
    needs = _NEEDS[action]
    if actor.is_anonymous or (needs.scope is not None and needs.scope not in actor.scopes):
        return False
    match resource:
        case OfServer():
            return actor.server_admin
        case OfUser(user_id):
            return actor.server_admin or (needs.own and actor.user_id == user_id)
        case OfOrganisation(organisation):
            return actor.server_admin or _has_role(actor, organisation, needs.role)
        case _:
            assert_never(resource)


def _has_role(actor: Actor, organisation: str, needed: Role | None) -> bool:
    role = actor.roles.get(organisation)
    return needed is not None and role is not None and role.includes(needed)


def could(actor: Actor, action: Action) -> bool:
    """Return whether there may be anything that ``actor`` may do ``action`` to."""
    return (
        can(actor, action, OfServer())
        or can(actor, action, OfUser(actor.user_id))
        or any(can(actor, action, OfOrganisation(each)) for each in actor.roles)
    )


def scope_for(action: Action) -> Scope | None:
    """Return the scope that an API key needs for ``action``; None if it takes none."""
    return _NEEDS[action].scope


def within(actor: Actor, action: Action) -> Within:
    """Return the organisations in which ``actor`` may do ``action``; None for all of them."""
    if can(actor, action, OfServer()):
        return None
    return frozenset(each for each in actor.roles if can(actor, action, OfOrganisation(each)))
