"""Organisations and who belongs to them."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import delete, get, patch, post, put
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter

from ci_common.access import Action, OfOrganisation
from ci_common.accounts import LONGEST_NAME, Organisation
from ci_common.api.accounts import (
    Adoption,
    MemberRequest,
    MemberView,
    OrganisationChange,
    OrganisationRequest,
    OrganisationView,
    member_view,
    organisation_view,
)
from ci_common.errors import OrganisationNotFound
from ci_server.access import require, within_of
from ci_server.job_query import AnyRequest
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems
from ci_server.routes.users import UserName, accounts_of, accounts_to_change

_SHOWN: dict[str, Any] = {"tags": ["accounts"]}

OrganisationName = Annotated[
    str,
    PathParameter(
        description="An organisation's name, whatever its case.", max_length=LONGEST_NAME
    ),
]


@get(
    "/organisations",
    action=Action.READ_MEMBERS,
    operation_id="list_organisations",
    summary="Organisations, by name",
    description="Those that one belongs to; for server admins, all.",
    responses=problems(503),
    **_SHOWN,
)
async def list_organisations(request: AnyRequest, state: State) -> Sequence[OrganisationView]:
    """Answer with the organisations that who asks may see."""
    seen = within_of(request, Action.READ_MEMBERS)
    every = await accounts_of(request, state).store.organisations()
    return [organisation_view(each) for each in every if seen is None or each.id in seen]


@post(
    "/organisations",
    action=Action.MANAGE_ACCOUNTS,
    operation_id="add_organisation",
    summary="Add an organisation",
    description="For server admins.",
    status_code=201,
    responses=problems(400, 409, 503),
    **_SHOWN,
)
async def add_organisation(
    request: AnyRequest, state: State, data: JSONBody[OrganisationRequest]
) -> OrganisationView:
    """Keep an organisation."""
    accounts = accounts_to_change(request, state)
    asked = await strictly(request, data)
    return organisation_view(await accounts.add_organisation(asked))


@get(
    "/organisations/{organisation:str}",
    action=Action.READ_MEMBERS,
    operation_id="get_organisation",
    summary="One organisation",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def get_organisation(
    request: AnyRequest, state: State, organisation: OrganisationName
) -> OrganisationView:
    """Answer with an organisation."""
    return organisation_view(await visible_organisation(request, state, organisation))


@patch(
    "/organisations/{organisation:str}",
    action=Action.MANAGE_ACCOUNTS,
    operation_id="change_organisation",
    summary="Rename an organisation, set its quotas",
    description="For server admins. What is left out stays; a quota that is null becomes the "
    "server's default.",
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def change_organisation(
    request: AnyRequest,
    state: State,
    organisation: OrganisationName,
    data: JSONBody[OrganisationChange],
) -> OrganisationView:
    """Change an organisation."""
    accounts = accounts_to_change(request, state)
    asked = await strictly(request, data)
    return organisation_view(await accounts.change_organisation(organisation, asked))


@delete(
    "/organisations/{organisation:str}",
    action=Action.MANAGE_ACCOUNTS,
    operation_id="remove_organisation",
    summary="Remove an organisation that has no jobs",
    description="For server admins. Its webhooks, secrets, memberships and the keys that are good "
    "for it alone go with it; its members stay users. Refused with `organisation_in_use` while it "
    "has jobs.",
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def remove_organisation(
    request: AnyRequest, state: State, organisation: OrganisationName
) -> None:
    """Remove an organisation."""
    await accounts_to_change(request, state).remove_organisation(organisation)


@post(
    "/organisations/{organisation:str}/adopt",
    action=Action.MANAGE_ACCOUNTS,
    operation_id="adopt",
    summary="Give an organisation what is nobody's",
    description="For server admins. Webhooks, and jobs that have ended, from the time before the "
    "server had accounts. What has not ended yet can be adopted later.",
    status_code=200,
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def adopt(request: AnyRequest, state: State, organisation: OrganisationName) -> Adoption:
    """Give an organisation what is nobody's."""
    return Adoption(jobs=await accounts_to_change(request, state).adopt(organisation))


@get(
    "/organisations/{organisation:str}/members",
    action=Action.READ_MEMBERS,
    operation_id="list_members",
    summary="Who belongs to an organisation, by name",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def list_members(
    request: AnyRequest, state: State, organisation: OrganisationName
) -> Sequence[MemberView]:
    """Answer with the members of an organisation."""
    found = await visible_organisation(request, state, organisation)
    return [
        member_view(each, found.id) for each in await accounts_of(request, state).members(found)
    ]


@put(
    "/organisations/{organisation:str}/members/{user_name:str}",
    action=Action.MANAGE_MEMBERS,
    operation_id="set_member",
    summary="Make a user a member, or change its role",
    description="For admins of the organisation. The user has to exist: server admins make users.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def set_member(
    request: AnyRequest,
    state: State,
    organisation: OrganisationName,
    user_name: UserName,
    data: JSONBody[MemberRequest],
) -> MemberView:
    """Give a user a role."""
    found = await _manageable(request, state, organisation)
    asked = await strictly(request, data)
    user = await accounts_of(request, state).set_role(found, user_name, asked.role)
    return member_view(user, found.id)


@delete(
    "/organisations/{organisation:str}/members/{user_name:str}",
    action=Action.MANAGE_MEMBERS,
    operation_id="remove_member",
    summary="End a membership",
    description="For admins of the organisation. The user stays one.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def remove_member(
    request: AnyRequest, state: State, organisation: OrganisationName, user_name: UserName
) -> None:
    """End a membership."""
    found = await _manageable(request, state, organisation)
    await accounts_of(request, state).remove_member(found, user_name)


ORGANISATION_HANDLERS = (
    list_organisations,
    add_organisation,
    get_organisation,
    change_organisation,
    remove_organisation,
    adopt,
    list_members,
    set_member,
    remove_member,
)


async def visible_organisation(request: AnyRequest, state: State, name: str) -> Organisation:
    """Return the organisation, if who asks may see it. Raises ``OrganisationNotFound``."""
    seen = within_of(request, Action.READ_MEMBERS, Action.MANAGE_MEMBERS)
    # What it may not see and what is not there are one and the same answer.
    unknown = OrganisationNotFound(
        f"there is no organisation {name[:80]!r}", hint="`ci whoami` shows those you are in."
    )
    try:
        found = await accounts_of(request, state).store.organisation_named(name)
    except OrganisationNotFound:
        raise unknown from None
    if seen is not None and found.id not in seen:
        raise unknown
    return found


async def _manageable(request: AnyRequest, state: State, name: str) -> Organisation:
    found = await visible_organisation(request, state, name)
    require(request, Action.MANAGE_MEMBERS, OfOrganisation(found.id))
    return found
