"""What is asked of an actor at a route: who it is, and whether it may.

``guard.py`` has found out who asks before a handler runs. What an actor may not
see is not there for it (404); what it sees and may not do something to is
refused (403).
"""

from collections.abc import Awaitable, Callable

from litestar.connection import ASGIConnection
from litestar.types import Scope

from ci_common.access import (
    ANONYMOUS,
    NOBODYS,
    Action,
    Actor,
    OfOrganisation,
    Resource,
    Within,
    can,
    scope_for,
    within,
)
from ci_common.accounts import Organisation
from ci_common.errors import (
    CIError,
    InvalidRequest,
    NotSignedIn,
    OrganisationNotFound,
    PermissionDenied,
)
from ci_server.authentication import AnyConnection
from ci_server.parts import Parts, parts_of

ORGANISATION_HEADER = "CI-Organisation"
"""Names the organisation that a request is for."""

_STATE_KEY = "actor"


def actor_of(source: AnyConnection | Scope) -> Actor:
    """Return who asks; ``ANONYMOUS`` at a public route that has not asked ``identified``."""
    scope = source.scope if isinstance(source, ASGIConnection) else source
    actor: Actor = scope["state"].get(_STATE_KEY, ANONYMOUS)
    return actor


async def identified(connection: AnyConnection) -> Actor:
    """Find out who asks, once for a request, and return it.

    Raises:
        NotSignedIn, InvalidRequest: as ``Authentication.actor``.

    """
    state = connection.scope["state"]
    if _STATE_KEY not in state:
        state[_STATE_KEY] = await _parts(connection).authentication.actor(connection)
    return actor_of(connection)


def require(connection: AnyConnection | Scope, action: Action, resource: Resource) -> None:
    """Return if who asks may do ``action`` to ``resource``, which it may see.

    Raises:
        NotSignedIn: it is not known who asks.
        PermissionDenied: it is, and may not.

    """
    actor = actor_of(connection)
    if not can(actor, action, resource):
        raise refusal(actor, action)


def within_of(connection: AnyConnection | Scope, *actions: Action) -> Within:
    """Return the organisations in which who asks may do ``action``, or one of several."""
    actor, found = actor_of(connection), frozenset[str]()
    for action in actions:
        organisations = within(actor, action)
        if organisations is None:
            return None
        found |= organisations
    return found


async def within_asked(connection: AnyConnection, action: Action, name: str | None) -> Within:
    """Return the organisations of a list: those of ``within_of``, or the one that is asked for.

    Raises:
        OrganisationNotFound: there is none of that name in which who asks may do that.
        InvalidRequest: one is named on a server without accounts.

    """
    allowed = within_of(connection, action)
    if not name:
        return allowed
    found = await _named(connection, name, allowed)
    return frozenset((found.id,))


async def organisation_for(connection: AnyConnection, action: Action) -> str:
    """Return the id of the organisation that a request is for, where it needs one.

    The one that ``CI-Organisation`` names, else the only one in which who asks may do
    ``action``. ``""`` on a server without accounts.

    Raises:
        PermissionDenied: it may not, in the one named or in any.
        OrganisationNotFound: there is none of the name that it may see.
        InvalidRequest: there is more than one choice, or accounts are needed to name one.

    """
    name = connection.headers.get(ORGANISATION_HEADER, "").strip()
    actor = actor_of(connection)
    if name:
        found = await _named(connection, name, within_of(connection, action, Action.READ))
        require(connection, action, OfOrganisation(found.id))
        return found.id
    if actor.unlimited:
        return NOBODYS
    own = [each for each in actor.roles if can(actor, action, OfOrganisation(each))]
    if len(own) == 1:
        return own[0]
    return await _only_choice(connection, action)


async def _only_choice(connection: AnyConnection, action: Action) -> str:
    allowed = within_of(connection, action)
    if allowed is not None and not allowed:
        raise refusal(actor_of(connection), action)
    every = await _parts(connection).accounts.organisations()
    choices = [each for each in every if allowed is None or each.id in allowed]
    if len(choices) == 1:
        return choices[0].id
    if not choices:
        raise InvalidRequest(
            "there is no organisation yet that this could be for",
            hint="Make one on the server's machine: ci admin org create NAME.",
        )
    names = ", ".join(each.name for each in choices)
    raise InvalidRequest(
        f"{ORGANISATION_HEADER}: it has to be said for which organisation this is ({names})",
        hint=f"Name one with the header {ORGANISATION_HEADER}, or with --org or CI_ORGANISATION.",
    )


async def _named(connection: AnyConnection, name: str, visible: Within) -> Organisation:
    if actor_of(connection).unlimited:
        raise InvalidRequest(
            f"organisation: there are none on this server, nor {name[:80]!r}",
            hint="Leave it out: this server has no accounts.",
        )
    # What it may not see and what is not there are one and the same answer.
    unknown = OrganisationNotFound(
        f"there is no organisation {name[:80]!r}", hint="`ci whoami` shows those you are in."
    )
    try:
        found = await _parts(connection).accounts.organisation_named(name)
    except OrganisationNotFound:
        raise unknown from None
    if visible is not None and found.id not in visible:
        raise unknown
    return found


def lasting(
    connection: AnyConnection, action: Action, organisation: str | None = None
) -> Callable[[], Awaitable[bool]]:
    """Return what tells, asked from time to time, whether a long answer may still go on.

    It may while who asks may do ``action`` in ``organisation``; without one, while those
    in which it may are the very same as now.
    """
    authentication = _parts(connection).authentication
    before = within_of(connection, action)

    async def lasts() -> bool:
        try:
            actor = await authentication.actor(connection)
        except NotSignedIn:
            return False
        except CIError:
            return True  # it cannot be told now
        if organisation is None:
            return within(actor, action) == before and not actor.is_anonymous
        return can(actor, action, OfOrganisation(organisation))

    return lasts


def refusal(actor: Actor, action: Action) -> NotSignedIn | PermissionDenied:
    """Return what is said to who may not do ``action``."""
    if actor.is_anonymous:
        return NotSignedIn(
            "this server wants to know who you are",
            hint="Send an API key (ci login, CI_API_KEY, or `Authorization: Bearer sci_…`).",
        )
    what, scope = action.value.replace("_", " "), scope_for(action)
    if scope is not None and scope not in actor.scopes:
        return PermissionDenied(
            f"{what}: your key is not good for this, it lacks the scope `{scope}`",
            hint=f"Make one that has it: ci key create --scope {scope}.",
        )
    return PermissionDenied(
        f"{what}: your role does not let you do this",
        hint="Ask an admin of the organisation, or of the server, for one that does.",
    )


def _parts(connection: AnyConnection) -> Parts:
    return parts_of(connection.app.state)
