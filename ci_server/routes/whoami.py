"""Who one is."""

from litestar import get
from litestar.datastructures import State

from ci_common.access import Action, Actor, Credential, Scope
from ci_common.api.whoami import MembershipView, WhoamiView
from ci_common.clock import format_utc
from ci_server.access import actor_of
from ci_server.job_query import AnyRequest
from ci_server.parts import Parts, parts_of
from ci_server.routes.openapi import problems


@get(
    "/whoami",
    operation_id="whoami",
    action=Action.KNOW_ONESELF,
    summary="Who you are, and what you may do where",
    responses=problems(400, 401, 503),
    tags=["accounts"],
)
async def whoami(request: AnyRequest, state: State) -> WhoamiView:
    """Answer with who asks."""
    actor, parts = actor_of(request), parts_of(state)
    key = None
    if actor.credential is Credential.KEY:
        key = await parts.accounts.key(actor.credential_id)
    return WhoamiView(
        accounts=not actor.unlimited,
        user=actor.name or None,
        server_admin=actor.server_admin,
        organisations=await _memberships(parts, actor),
        scopes=[scope.value for scope in Scope if scope in actor.scopes],
        credential=actor.credential.value,
        key_id=key.id if key else None,
        key_name=key.name if key else None,
        key_expires_at=format_utc(key.expires_at) if key and key.expires_at else None,
    )


async def _memberships(parts: Parts, actor: Actor) -> list[MembershipView]:
    if not actor.roles:
        return []
    return [
        MembershipView(organisation=each.name, role=actor.roles[each.id].value)
        for each in await parts.accounts.organisations()
        if each.id in actor.roles
    ]
