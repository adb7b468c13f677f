"""On the way through a provider, and back."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter

from ci_common.access import Action, Credential
from ci_common.audit import AuditedAction, Outcome
from ci_common.errors import SignInRefused
from ci_common.sign_in import SignInMethod
from ci_server.access import identified
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.sign_in import cookies
from ci_server.sign_in.build import OIDC_ANSWER
from ci_server.sign_in.oidc import Flow, OidcSignIn
from ci_server.sign_in.page_answers import ON_PAGES, local_path, redirect
from ci_server.sign_in.requests import caller_of, keep_session, noted_sign_in, service_of

FLOW_LIFETIME = timedelta(minutes=10)
"""So long somebody may take at the provider."""

_OPTIONS: dict[str, Any] = {"action": Action.BE_THERE, "exception_handlers": ON_PAGES}

Next = Annotated[str, QueryParameter(name="next", description="Where to go on, on this server.")]
Answer = Annotated[str, QueryParameter(max_length=4096)]


@get("/sign-in/oidc", **_OPTIONS)
async def begin_oidc(request: AnyRequest, back_to: Next = "") -> Response[Any]:
    """Send the browser to the provider."""
    cookies.require_safe(request)
    flow = Flow.new(local_path(back_to))
    answer = redirect(await _oidc(request).begin(flow))
    cookies.set_on(answer, request, cookies.FLOW, flow.cookie(), keep=FLOW_LIFETIME)
    return answer


@get(OIDC_ANSWER, **_OPTIONS)
async def end_oidc(
    request: AnyRequest,
    code: Answer = "",
    answers: Annotated[str, QueryParameter(name="state", max_length=200)] = "",
    iss: Annotated[str | None, QueryParameter(max_length=2000)] = None,
    error: Answer = "",
) -> Response[Any]:
    """Take somebody who comes back from the provider."""
    cookies.require_safe(request)
    try:
        flow = _flow_of(request, answers)
        _require_code(code, error)
        if flow.session_id:
            return await _connected(request, flow, code, iss)
        return await _signed_in(request, flow, code, iss)
    except SignInRefused as refusal:
        await audit(
            request,
            AuditedAction.SIGN_IN,
            outcome=Outcome.REFUSED,
            detail=f"oidc: {refusal.detail}",
        )
        raise


OIDC_PAGES = (begin_oidc, end_oidc)


async def _signed_in(request: AnyRequest, flow: Flow, code: str, iss: str | None) -> Response[Any]:
    user = await _oidc(request).user_of(flow, code, iss)
    opened = await service_of(request).open(user, SignInMethod.OIDC, caller_of(request))
    await noted_sign_in(request, user, opened)
    answer = redirect(local_path(flow.back_to))
    keep_session(answer, request, opened)
    cookies.drop_on(answer, request, (cookies.FLOW,))
    return answer


async def _connected(request: AnyRequest, flow: Flow, code: str, iss: str | None) -> Response[Any]:
    """Have the user of the very session that began this be known by the provider."""
    actor = await identified(request)
    if actor.credential is not Credential.SESSION or actor.credential_id != flow.session_id:
        raise SignInRefused("you are not signed in any more as you were when you left")
    await _oidc(request).connect(flow, actor.user_id, code, iss)
    await audit(request, AuditedAction.USER_CHANGE, f"user {actor.name}", detail="connected")
    answer = redirect(local_path(flow.back_to))
    cookies.drop_on(answer, request, (cookies.FLOW,))
    return answer


def _require_code(code: str, error: str) -> None:
    if error or not code:
        raise SignInRefused(f"the provider says: {error[:100] or 'nothing'}")


def _flow_of(request: AnyRequest, state: str) -> Flow:
    held = cookies.read(request, cookies.FLOW)
    flow = None if held is None else Flow.of_cookie(held)
    if flow is None or not flow.is_answered_by(state):
        raise SignInRefused(
            "this is no answer to what this browser asked",
            hint="Begin again at the sign-in page; after ten minutes it is too late.",
        )
    return flow


def _oidc(request: AnyRequest) -> OidcSignIn:
    oidc = service_of(request).oidc
    if oidc is None:
        raise SignInRefused("this server knows no provider", hint="CI_OIDC_ISSUER names one.")
    return oidc
