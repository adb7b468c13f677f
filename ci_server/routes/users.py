"""Users, for server admins."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from litestar import delete, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter

from ci_common.access import Action, OfServer
from ci_common.accounts import LONGEST_NAME, User
from ci_common.api.accounts import UserChange, UserRequest, UserView
from ci_common.clock import SystemClock
from ci_common.errors import PermissionDenied
from ci_server.access import actor_of, require
from ci_server.accounts import Accounts
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems

_SHOWN: dict[str, Any] = {"tags": ["accounts"], "action": Action.MANAGE_ACCOUNTS}

UserName = Annotated[
    str, PathParameter(description="A user's name, whatever its case.", max_length=LONGEST_NAME)
]


@get(
    "/users",
    operation_id="list_users",
    summary="All users, by name",
    description="For server admins.",
    responses=problems(503),
    **_SHOWN,
)
async def list_users(request: AnyRequest, state: State) -> Sequence[UserView]:
    """Answer with all users."""
    accounts = _accounts_to_see(request, state)
    return await accounts.views(*await accounts.store.users())


@post(
    "/users",
    operation_id="add_user",
    summary="Add a user",
    description="For server admins. It has neither a password nor a key yet. The first user of all "
    "is made on the server's machine: `ci admin user create`.",
    status_code=201,
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def add_user(request: AnyRequest, state: State, data: JSONBody[UserRequest]) -> UserView:
    """Keep a user."""
    accounts = accounts_to_change(request, state)
    user = await accounts.add_user(await strictly(request, data))
    return await _view(accounts, user)


@get(
    "/users/{user_name:str}",
    operation_id="get_user",
    summary="One user",
    description="For server admins.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def get_user(request: AnyRequest, state: State, user_name: UserName) -> UserView:
    """Answer with a user."""
    accounts = _accounts_to_see(request, state)
    return await _view(accounts, await accounts.store.user_named(user_name))


@patch(
    "/users/{user_name:str}",
    operation_id="change_user",
    summary="Change a user, disable or enable it",
    description="For server admins. What is left out stays. Disabled, its keys and sessions are "
    "good for nothing from this moment on. Refused with `last_admin` if nobody would be left who "
    "is a server admin.",
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def change_user(
    request: AnyRequest, state: State, user_name: UserName, data: JSONBody[UserChange]
) -> UserView:
    """Change a user."""
    accounts = accounts_to_change(request, state)
    user = await accounts.change_user(user_name, await strictly(request, data))
    return await _view(accounts, user)


@delete(
    "/users/{user_name:str}",
    operation_id="remove_user",
    summary="Remove a user with its keys, sessions and memberships",
    description="For server admins. Its jobs stay. Refused with `last_admin` if nobody would be "
    "left who is a server admin.",
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def remove_user(request: AnyRequest, state: State, user_name: UserName) -> None:
    """Remove a user."""
    await accounts_to_change(request, state).remove_user(user_name)


USER_HANDLERS = (list_users, add_user, get_user, change_user, remove_user)


def accounts_to_change(request: AnyRequest, state: State) -> Accounts:
    """Return the accounts to who may make and remove them.

    Raises:
        NotSignedIn, PermissionDenied: it is not a server admin; or the server has no accounts,
            and who reaches it might lock everybody out.

    """
    require(request, Action.MANAGE_ACCOUNTS, OfServer())
    if actor_of(request).unlimited:
        raise PermissionDenied(
            "this server has no accounts yet, and its first user is not made over HTTP",
            hint="Make it a server admin on the server's machine: ci admin user create NAME.",
        )
    return accounts_of(request, state)


def accounts_of(request: AnyRequest, state: State) -> Accounts:
    """Return the accounts of the running application, to be changed by who asks."""
    return Accounts(parts_of(state).accounts, SystemClock(), partial(audit, request))


def _accounts_to_see(request: AnyRequest, state: State) -> Accounts:
    require(request, Action.MANAGE_ACCOUNTS, OfServer())
    return accounts_of(request, state)


async def _view(accounts: Accounts, user: User) -> UserView:
    (view,) = await accounts.views(user)
    return view
