"""Sessions: where one has signed in, and ending that."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import delete, get
from litestar.datastructures import State
from litestar.params import PathParameter

from ci_common.access import Action, Credential
from ci_common.api.sign_in import SessionView, SignedIn, session_view
from ci_common.audit import AuditedAction
from ci_common.errors import SessionNotFound
from ci_server.access import actor_of
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems
from ci_server.sign_in import cookies
from ci_server.sign_in.requests import others_ended
from ci_server.sign_in.sessions import form_token

_SHOWN: dict[str, Any] = {"tags": ["sign-in"]}

SessionId = Annotated[str, PathParameter(description="A session's id: `ses_…`.", max_length=64)]


@get(
    "/session",
    operation_id="get_session",
    action=Action.KNOW_ONESELF,
    summary="The session that this request is of",
    description="With the token that has to go with whatever its cookie is to change.",
    responses=problems(400, 401, 404, 503),
    **_SHOWN,
)
async def get_session(request: AnyRequest, state: State) -> SignedIn:
    """Answer with the session of a cookie."""
    actor = actor_of(request)
    secret = cookies.read(request, cookies.SESSION)
    session = None
    if actor.credential is Credential.SESSION and secret is not None:
        session = await parts_of(state).sign_in.sessions.find(secret)
    if session is None or secret is None:
        raise SessionNotFound("this request is of no session", hint="Sign in first.")
    return SignedIn(
        user=actor.name,
        session=session_view(session, current=session.id),
        csrf_token=form_token(secret),
    )


@get(
    "/sessions",
    operation_id="list_sessions",
    action=Action.MANAGE_OWN_KEYS,
    summary="Your sessions, the one used last first",
    responses=problems(400, 401, 403, 503),
    **_SHOWN,
)
async def list_sessions(request: AnyRequest, state: State) -> Sequence[SessionView]:
    """Answer with the sessions of who asks."""
    actor = actor_of(request)
    found = await parts_of(state).sign_in.sessions.all(actor.user_id)
    return [session_view(each, current=actor.credential_id) for each in found]


@delete(
    "/sessions/{session_id:str}",
    operation_id="end_session",
    action=Action.MANAGE_OWN_KEYS,
    summary="End one of your sessions",
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def end_session(request: AnyRequest, state: State, session_id: SessionId) -> None:
    """End a session of who asks."""
    actor = actor_of(request)
    if not await parts_of(state).sign_in.store.end_session(actor.user_id, session_id):
        raise SessionNotFound(f"you have no session {session_id!r}")
    await audit(request, AuditedAction.SESSION_END, f"session {session_id} of {actor.name}")


@delete(
    "/sessions",
    operation_id="end_other_sessions",
    action=Action.MANAGE_OWN_KEYS,
    summary="End all of your sessions but this one",
    responses=problems(400, 401, 403, 503),
    **_SHOWN,
)
async def end_other_sessions(request: AnyRequest) -> None:
    """End the other sessions of who asks."""
    await others_ended(request)


SESSION_HANDLERS = (get_session, list_sessions, end_session, end_other_sessions)
