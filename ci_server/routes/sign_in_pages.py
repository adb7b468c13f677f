"""The pages where people sign in and choose a password; ``sign_in.py`` is for programs."""

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import QueryParameter

from ci_common.access import Action
from ci_common.errors import CIError, InvalidRequest, LinkNotGood
from ci_common.sign_in import new_secret
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.sign_in import cookies, csrf
from ci_server.sign_in.html import (
    STYLE,
    STYLE_PATH,
    Said,
    message_page,
    set_password_page,
    sign_in_page,
)
from ci_server.sign_in.page_answers import ON_PAGES, local_path, page, redirect, said_of, text_of
from ci_server.sign_in.requests import keep_session, password_set, service_of, signed_in
from ci_server.sign_in.sessions import form_token

Next = Annotated[str, QueryParameter(name="next", description="Where to go on, on this server.")]
Link = Annotated[str, QueryParameter(description="The secret of the link.", max_length=200)]

_OPTIONS: dict[str, Any] = {"action": Action.BE_THERE, "exception_handlers": ON_PAGES}


@get("/sign-in", **_OPTIONS)
async def show_sign_in(request: AnyRequest, state: State, back_to: Next = "") -> Response[str]:
    """Show the form, or say that nobody has to sign in."""
    if not await parts_of(state).authentication.in_force():
        text = "This server has no accounts: whoever reaches it may do everything."
        return page(message_page("Sign in", Said(text, is_wrong=False)))
    cookies.require_safe(request)
    return _sign_in_form(request, local_path(back_to))


@post("/sign-in", status_code=200, **_OPTIONS)
async def post_sign_in(request: AnyRequest) -> Response[Any]:
    """Sign in with what was typed."""
    form = await request.form()
    back_to, name = local_path(text_of(form, "next")), text_of(form, "name")
    try:
        _require_visit(request, text_of(form, csrf.FIELD))
        _, opened = await signed_in(request, name, text_of(form, "password"))
    except CIError as error:
        return _sign_in_form(request, back_to, error, name)
    answer = redirect(back_to)
    keep_session(answer, request, opened)
    cookies.drop_on(answer, request, (cookies.VISIT,))
    return answer


@get("/set-password", **_OPTIONS)
async def show_set_password(request: AnyRequest, link: Link = "") -> Response[str]:
    """Show the form of a link. To look at it does not use it up."""
    cookies.require_safe(request)
    return await _link_form(request, link)


@post("/set-password", status_code=200, **_OPTIONS)
async def post_set_password(request: AnyRequest) -> Response[Any]:
    """Set the password that was typed."""
    form = await request.form()
    link, password = text_of(form, "link"), text_of(form, "new_password")
    try:
        _require_visit(request, text_of(form, csrf.FIELD))
        require_same(password, text_of(form, "again"))
        _, opened = await password_set(request, link, password, text_of(form, "name"))
    except LinkNotGood:
        raise
    except CIError as error:
        return await _link_form(request, link, error)
    answer = redirect("/account")
    keep_session(answer, request, opened)
    cookies.drop_on(answer, request, (cookies.VISIT,))
    return answer


@get(STYLE_PATH, media_type="text/css", action=Action.BE_THERE)
async def get_style() -> Response[str]:
    """Answer with how the pages look."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


SIGN_IN_PAGES = (show_sign_in, post_sign_in, show_set_password, post_set_password, get_style)


def require_same(password: str, again: str) -> None:
    """Raise ``InvalidRequest`` if a new password was not typed twice alike."""
    if password != again:
        raise InvalidRequest("the new password was not typed twice alike")


def _sign_in_form(
    request: AnyRequest, back_to: str, error: CIError | None = None, name: str = ""
) -> Response[str]:
    oidc = service_of(request).oidc
    visit = cookies.read(request, cookies.VISIT) or new_secret()
    label = None if oidc is None else oidc.label
    html = sign_in_page(form_token(visit), back_to, label, said_of(error), name=name)
    answer = page(html, error)
    cookies.set_on(answer, request, cookies.VISIT, visit)
    return answer


async def _link_form(request: AnyRequest, link: str, error: CIError | None = None) -> Response[str]:
    user = await service_of(request).links.user_of(link)
    visit = cookies.read(request, cookies.VISIT) or new_secret()
    name = None if user is None else user.name
    answer = page(set_password_page(form_token(visit), link, name, said_of(error)), error)
    cookies.set_on(answer, request, cookies.VISIT, visit)
    return answer


def _require_visit(request: AnyRequest, token: str) -> None:
    cookies.require_safe(request)
    csrf.require_own_page(request)
    csrf.require_token(cookies.read(request, cookies.VISIT), token)
