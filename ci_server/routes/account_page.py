"""The page of somebody who is signed in, and what its forms do."""

from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State

from ci_common.access import Action, Credential
from ci_common.audit import AuditedAction
from ci_common.errors import CIError, InvalidRequest, NotSignedIn
from ci_server.access import actor_of
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.oidc import FLOW_LIFETIME
from ci_server.routes.sign_in_pages import require_same
from ci_server.sign_in import cookies, csrf
from ci_server.sign_in.credentials import FORM_KEY
from ci_server.sign_in.html import account_page, leave_page
from ci_server.sign_in.oidc import Flow
from ci_server.sign_in.page_answers import HOME, ON_PAGES, page, redirect, said_of, text_of
from ci_server.sign_in.requests import (
    keep_session,
    others_ended,
    password_changed,
    service_of,
    signed_out,
)
from ci_server.sign_in.sessions import form_token

_OPTIONS: dict[str, Any] = {"exception_handlers": ON_PAGES, FORM_KEY: True}


@get(HOME, action=Action.KNOW_ONESELF, **_OPTIONS)
async def show_account(request: AnyRequest, state: State) -> Response[Any]:
    """Show who one is, and where one is signed in."""
    if not await parts_of(state).authentication.in_force():
        return redirect("/sign-in")
    return await _account(request)


@post("/account/sign-out", status_code=200, action=Action.KNOW_ONESELF, **_OPTIONS)
async def post_sign_out(request: AnyRequest) -> Response[Any]:
    """End this session."""
    await _form_of(request)
    await signed_out(request)
    answer = redirect("/sign-in")
    cookies.drop_on(answer, request, (cookies.SESSION,))
    return answer


@post("/account/sessions", status_code=200, action=Action.MANAGE_OWN_KEYS, **_OPTIONS)
async def post_end_session(request: AnyRequest) -> Response[Any]:
    """End another session, or all others."""
    chosen = text_of(await _form_of(request), "session")
    if chosen == "others":
        await others_ended(request)
    else:
        actor = actor_of(request)
        if await service_of(request).store.end_session(actor.user_id, chosen):
            subject = f"session {chosen} of {actor.name}"
            await audit(request, AuditedAction.SESSION_END, subject)
    return redirect(HOME)


@post("/account/password", status_code=200, action=Action.MANAGE_OWN_KEYS, **_OPTIONS)
async def post_password(request: AnyRequest) -> Response[Any]:
    """Change one's password."""
    form = await _form_of(request)
    new = text_of(form, "new_password")
    try:
        require_same(new, text_of(form, "again"))
        opened = await password_changed(request, text_of(form, "password"), new)
    except CIError as error:
        return await _account(request, error)
    answer = redirect(HOME)
    keep_session(answer, request, opened)
    return answer


@post("/account/connect", status_code=200, action=Action.MANAGE_OWN_KEYS, **_OPTIONS)
async def post_connect(request: AnyRequest) -> Response[Any]:
    """Lead to the provider, whose account there is to be one's own here."""
    await _form_of(request)
    oidc = service_of(request).oidc
    if oidc is None:
        raise InvalidRequest("this server knows no provider to connect with")
    flow = Flow.new(HOME, actor_of(request).credential_id)
    # A page, not a redirect: browsers hold its target against the rule for forms, too.
    answer = page(leave_page(await oidc.begin(flow), oidc.label))
    cookies.set_on(answer, request, cookies.FLOW, flow.cookie(), keep=FLOW_LIFETIME)
    return answer


ACCOUNT_PAGES = (show_account, post_sign_out, post_end_session, post_password, post_connect)


async def _account(request: AnyRequest, error: CIError | None = None) -> Response[Any]:
    actor, service = actor_of(request), service_of(request)
    secret = cookies.read(request, cookies.SESSION)
    if secret is None or actor.credential is not Credential.SESSION:
        raise NotSignedIn
    user = await service.accounts.user(actor.user_id)
    html = account_page(
        form_token(secret),
        actor.name,
        await service.sessions.all(actor.user_id),
        actor.credential_id,
        provider=None if service.oidc is None else service.oidc.label,
        connected=user.issuer is not None,
        said=said_of(error),
    )
    return page(html, error)


async def _form_of(request: AnyRequest) -> Any:  # noqa: ANN401 -- litestar's own type
    """Return the form of a page of ours. Raises ``PermissionDenied`` for anybody else's."""
    form = await request.form()
    secret = cookies.read(request, cookies.SESSION)
    if secret is None or actor_of(request).credential is not Credential.SESSION:
        raise NotSignedIn
    csrf.require_token(secret, text_of(form, csrf.FIELD))
    return form
