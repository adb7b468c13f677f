"""Short-lived tokens, and the public keys that they are signed with."""

from datetime import timedelta
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody

from ci_common.access import Action, Actor, Credential
from ci_common.accounts import AccountStore
from ci_common.api.sign_in import KeySet, TokenRequest, TokenView
from ci_common.audit import AuditedAction
from ci_common.clock import format_utc
from ci_common.errors import OrganisationNotFound, PermissionDenied
from ci_server.access import actor_of
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems
from ci_server.sign_in.tokens import Claims

_SHOWN: dict[str, Any] = {"tags": ["sign-in"]}


@post(
    "/token",
    operation_id="get_token",
    action=Action.KNOW_ONESELF,
    summary="Exchange an API key, or a session, for a short-lived token",
    description="A JWT, to be sent as `Authorization: Bearer`. It can be narrowed to some scopes "
    "and to one organisation. It is good no longer than what it was got with.",
    status_code=200,
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def get_token(
    request: AnyRequest, state: State, data: JSONBody[TokenRequest]
) -> Response[TokenView]:
    """Answer with a token for who asks."""
    asked = await strictly(request, data)
    parts, actor = parts_of(state), actor_of(request)
    if actor.credential not in {Credential.KEY, Credential.SESSION}:
        raise PermissionDenied(
            "only an API key or a session can be exchanged for a token",
            hint="Without accounts there is no need for one."
            if actor.unlimited
            else "Use the key that the token was got with.",
        )
    claims = await _claims(parts.accounts, actor, asked)
    seconds = min(asked.lifetime or parts.settings.token_lifetime, parts.settings.token_lifetime)
    issued = await parts.sign_in.tokens.issue(claims, timedelta(seconds=seconds))
    await audit(
        request,
        AuditedAction.TOKEN_ISSUE,
        f"token {issued.id} of {actor.name}",
        organisation=claims.organisation,
        detail=f"{' '.join(sorted(claims.scopes))}; until {format_utc(issued.expires_at)}",
    )
    view = TokenView(
        access_token=issued.text,
        token_type="Bearer",  # noqa: S106 -- the word
        expires_in=int(seconds),
        expires_at=format_utc(issued.expires_at),
        scopes=sorted(claims.scopes),
        organisation=asked.organisation,
    )
    return Response(view, status_code=200, headers={"Cache-Control": "no-store"})


@get(
    "/.well-known/jwks.json",
    operation_id="get_keys",
    action=Action.BE_THERE,
    summary="The public keys that tokens are signed with",
    description="A new one is here for an hour before anything is signed with it.",
    responses=problems(503),
    media_type="application/jwk-set+json",
    **_SHOWN,
)
async def get_keys(state: State) -> Response[KeySet]:
    """Answer with the public keys."""
    keys = await parts_of(state).sign_in.tokens.keys.published()
    return Response(KeySet(keys), headers={"Cache-Control": "public, max-age=300"})


async def _claims(accounts: AccountStore, actor: Actor, asked: TokenRequest) -> Claims:
    """Return what a token is to say. Raises ``PermissionDenied``, ``OrganisationNotFound``."""
    scopes = actor.scopes if asked.scopes is None else frozenset(asked.scopes)
    if not scopes <= actor.scopes:
        lacking = ", ".join(sorted(scopes - actor.scopes))
        raise PermissionDenied(
            f"scopes: your key is not good for {lacking}", hint="Ask for those that it has."
        )
    return Claims(
        user_id=actor.user_id,
        credential=actor.credential,
        credential_id=actor.credential_id,
        scopes=scopes,
        organisation=await _organisation(accounts, actor, asked.organisation),
    )


async def _organisation(accounts: AccountStore, actor: Actor, name: str | None) -> str | None:
    if name is None:
        return None
    unknown = OrganisationNotFound(f"there is no organisation {name!r}")
    try:
        found = await accounts.organisation_named(name)
    except OrganisationNotFound:
        raise unknown from None
    if not actor.server_admin and found.id not in actor.roles:
        raise unknown
    return found.id
