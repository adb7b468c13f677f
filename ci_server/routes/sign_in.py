"""Signing in and out, and passwords, for programs; ``pages.py`` is the same for people."""

from typing import Annotated, Any

from litestar import Response, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter

from ci_common.access import Action, Credential
from ci_common.accounts import User
from ci_common.api.sign_in import (
    LinkRequest,
    PasswordChange,
    PasswordLinkView,
    SignedIn,
    SignInRequest,
    session_view,
)
from ci_common.audit import AuditedAction
from ci_common.clock import format_utc
from ci_server.access import actor_of
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems
from ci_server.sign_in import cookies
from ci_server.sign_in.requests import (
    keep_session,
    password_changed,
    password_set,
    signed_in,
    signed_out,
)
from ci_server.sign_in.sessions import Opened, form_token

_SHOWN: dict[str, Any] = {"tags": ["sign-in"]}

UserName = Annotated[str, PathParameter(description="A user's name.", max_length=64)]


@post(
    "/sign-in",
    operation_id="sign_in",
    action=Action.BE_THERE,
    summary="Sign in with a password",
    description="Sets the session's cookie. What can be wrong is always told in the same words.",
    status_code=200,
    responses=problems(400, 401, 403, 503),
    **_SHOWN,
)
async def sign_in(request: AnyRequest, data: JSONBody[SignInRequest]) -> Response[SignedIn]:
    """Open a session."""
    asked = await strictly(request, data)
    user, opened = await signed_in(request, asked.name, asked.password)
    return _with_session(request, user, opened)


@post(
    "/sign-out",
    operation_id="sign_out",
    action=Action.KNOW_ONESELF,
    summary="End the session that this request is of",
    status_code=204,
    responses=problems(400, 401, 403, 503),
    **_SHOWN,
)
async def sign_out(request: AnyRequest) -> Response[None]:
    """End a session."""
    await signed_out(request)
    response: Response[None] = Response(None, status_code=204)
    cookies.drop_on(response, request, (cookies.SESSION,))
    return response


@post(
    "/password",
    operation_id="change_password",
    action=Action.MANAGE_OWN_KEYS,
    summary="Change your password",
    description="All of your sessions end; with a cookie, the answer sets that of a new one.",
    status_code=204,
    responses=problems(400, 401, 403, 503),
    **_SHOWN,
)
async def change_password(request: AnyRequest, data: JSONBody[PasswordChange]) -> Response[None]:
    """Give who asks another password."""
    asked = await strictly(request, data)
    opened = await password_changed(request, asked.password, asked.new_password)
    response: Response[None] = Response(None, status_code=204)
    if actor_of(request).credential is Credential.SESSION:
        keep_session(response, request, opened)
    return response


@post(
    "/set-password",
    operation_id="set_password",
    action=Action.BE_THERE,
    summary="Choose a password by a one-time link",
    description="Sets the cookie of a new session; all others of the user end. The link that is "
    "printed at the first start makes the first admin, of the name that is sent.",
    status_code=200,
    responses=problems(400, 403, 410, 503),
    **_SHOWN,
)
async def set_password(request: AnyRequest, data: JSONBody[LinkRequest]) -> Response[SignedIn]:
    """Set the password of a link's user."""
    asked = await strictly(request, data)
    user, opened = await password_set(request, asked.link, asked.password, asked.name)
    return _with_session(request, user, opened)


@post(
    "/users/{user_name:str}/password-link",
    operation_id="make_password_link",
    action=Action.MANAGE_ACCOUNTS,
    summary="Make a one-time link by which a user chooses a password",
    description="For server admins. Good for a day, and shown only here; one that was made before "
    "is no good any more. Until it is used the password stays what it is.",
    status_code=201,
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def make_password_link(
    request: AnyRequest, state: State, user_name: UserName
) -> PasswordLinkView:
    """Make a link for a user."""
    parts = parts_of(state)
    user = await parts.accounts.user_named(user_name)
    path, link = await parts.sign_in.links.new(user.id)
    await audit(request, AuditedAction.INVITE, f"user {user.name}")
    base = parts.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return PasswordLinkView(url=base + path, expires_at=format_utc(link.expires_at))


SIGN_IN_HANDLERS = (sign_in, sign_out, change_password, set_password, make_password_link)


def _with_session(request: AnyRequest, user: User, opened: Opened) -> Response[SignedIn]:
    view = SignedIn(
        user=user.name,
        session=session_view(opened.session, current=opened.session.id),
        csrf_token=form_token(opened.secret),
    )
    response = Response(view, status_code=200, headers={"Cache-Control": "no-store"})
    keep_session(response, request, opened)
    return response
