"""API keys: one's own, and for server admins everybody's."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import delete, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter, QueryParameter

from ci_common.access import Action, Credential
from ci_common.accounts import ApiKey
from ci_common.api.api_keys import (
    KeyRequest,
    KeyRotation,
    KeyView,
    KeyWithSecret,
    key_view,
    key_with_secret,
)
from ci_common.audit import AuditedAction
from ci_common.errors import KeyNotFound
from ci_server.access import actor_of
from ci_server.api_keys import ApiKeys
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.organisations import organisation_names
from ci_server.parts import Parts, parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems

_SHOWN: dict[str, Any] = {"tags": ["accounts"]}

KeyId = Annotated[str, PathParameter(description="A key's id: `key_…`.", max_length=64)]


@get(
    "/keys",
    operation_id="list_keys",
    action=Action.MANAGE_OWN_KEYS,
    summary="API keys, newest first",
    description="Your own; a server admin may ask for those of a `user`.",
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def list_keys(
    request: AnyRequest,
    state: State,
    user: Annotated[
        str | None, QueryParameter(max_length=64, description="Whose, by name; else your own.")
    ] = None,
    ended: Annotated[
        bool, QueryParameter(description="Also those that are expired or revoked.")
    ] = False,
) -> Sequence[KeyView]:
    """Answer with the keys of a user."""
    keys, actor = _keys(state), actor_of(request)
    if actor.unlimited and user is None:
        return []
    owner = await keys.owner(actor, user)
    return await _views(parts_of(state), await keys.of(owner, ended=ended))


@post(
    "/keys",
    operation_id="create_key",
    action=Action.MANAGE_OWN_KEYS,
    summary="Make an API key",
    description="The answer has the key itself, which is shown only here. It can do no more than "
    "whoever makes it, and, made with a key, ends with that one at the latest; a token makes none. "
    "A server admin may make one for another `user`.",
    status_code=201,
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def create_key(
    request: AnyRequest, state: State, data: JSONBody[KeyRequest]
) -> KeyWithSecret:
    """Make a key."""
    asked = await strictly(request, data)
    key, secret = await _keys(state).make(actor_of(request), asked)
    view = await _view(state, key)
    await _note(request, AuditedAction.KEY_ADD, key, view)
    return key_with_secret(view, secret)


@get(
    "/keys/{key_id:str}",
    operation_id="get_key",
    action=Action.MANAGE_OWN_KEYS,
    summary="One API key",
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def get_key(request: AnyRequest, state: State, key_id: KeyId) -> KeyView:
    """Answer with a key."""
    return await _view(state, await _keys(state).get(actor_of(request), key_id))


@delete(
    "/keys/{key_id:str}",
    operation_id="revoke_key",
    action=Action.MANAGE_OWN_KEYS,
    summary="Revoke an API key",
    description="At once and for good. It stays in the list of those that have ended.",
    status_code=200,
    responses=problems(400, 401, 403, 404, 503),
    **_SHOWN,
)
async def revoke_key(request: AnyRequest, state: State, key_id: KeyId) -> KeyView:
    """Revoke a key."""
    found = await _keys(state).get(actor_of(request), key_id)
    return await _revoked(request, state, found.id)


@delete(
    "/keys/current",
    operation_id="revoke_current_key",
    action=Action.KNOW_ONESELF,
    summary="Revoke the API key that this request shows",
    description="Whatever its scopes: a key that may have leaked can always be ended by whoever "
    "has it.",
    status_code=200,
    responses=problems(400, 401, 404, 503),
    **_SHOWN,
)
async def revoke_current_key(request: AnyRequest, state: State) -> KeyView:
    """Revoke the request's own key."""
    actor = actor_of(request)
    if actor.credential is not Credential.KEY:
        raise KeyNotFound("this request shows no API key")
    return await _revoked(request, state, actor.credential_id)


@post(
    "/keys/{key_id:str}/rotate",
    operation_id="rotate_key",
    action=Action.MANAGE_OWN_KEYS,
    summary="Replace an API key",
    description="The new one has the same name, scopes and organisation, and is shown only here. "
    "The old one stays good for `overlap` seconds, so that nothing fails while it is replaced "
    "where it is used.",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 503),
    **_SHOWN,
)
async def rotate_key(
    request: AnyRequest,
    state: State,
    key_id: KeyId,
    data: JSONBody[KeyRotation | None] = None,
) -> KeyWithSecret:
    """Replace a key."""
    asked = KeyRotation() if data is None else await strictly(request, data)
    key, secret = await _keys(state).rotate(actor_of(request), key_id, asked)
    view = await _view(state, key)
    await _note(request, AuditedAction.KEY_ROTATE, key, view, f"in place of {key_id}")
    return key_with_secret(view, secret)


KEY_HANDLERS = (list_keys, create_key, get_key, revoke_key, revoke_current_key, rotate_key)


def _keys(state: State) -> ApiKeys:
    return parts_of(state).api_keys


async def _revoked(request: AnyRequest, state: State, key_id: str) -> KeyView:
    key = await _keys(state).revoke(key_id)
    view = await _view(state, key)
    await _note(request, AuditedAction.KEY_REVOKE, key, view)
    return view


async def _note(
    request: AnyRequest, action: AuditedAction, key: ApiKey, view: KeyView, more: str = ""
) -> None:
    """Write down what was done to a key; the name is its user's text, the id is not."""
    about = f"{view.name!r}: {', '.join(view.scopes)}; {more}".rstrip("; ")
    await audit(
        request, action, f"key {key.id} of {view.user}", organisation=key.organisation, detail=about
    )


async def _view(state: State, key: ApiKey) -> KeyView:
    (view,) = await _views(parts_of(state), [key])
    return view


async def _views(parts: Parts, keys: Sequence[ApiKey]) -> Sequence[KeyView]:
    """Return keys of one user with the names of that and of their organisations."""
    if not keys:
        return []
    now = parts.api_keys.clock.now().wall
    owner = await parts.accounts.user(keys[0].user_id)
    ids = [each.organisation for each in keys if each.organisation is not None]
    names = await organisation_names(parts.accounts, ids)
    return [
        key_view(
            each,
            now,
            user=owner.name,
            organisation=each.organisation and names[each.organisation],
        )
        for each in keys
    ]
