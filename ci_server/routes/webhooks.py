"""Webhooks: who is told of jobs."""

from collections.abc import Sequence
from typing import Any

from litestar import delete, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody

from ci_common.access import Action
from ci_common.api.webhooks import (
    DeliveryView,
    WebhookChange,
    WebhookRequest,
    WebhookRotation,
    WebhookView,
    WebhookWithSecret,
    delivery_view,
)
from ci_common.audit import AuditedAction
from ci_server.access import organisation_for, within_asked
from ci_server.job_query import AnyRequest
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.deliveries import (
    WebhookId,
    get_delivery,
    list_dead_deliveries,
    list_deliveries,
    redeliver,
)
from ci_server.routes.openapi import problems
from ci_server.webhook_access import (
    managed_webhook,
    note_webhook,
    shown_webhook,
    shown_webhooks,
    shown_with_secret,
    visible_webhook,
)
from ci_server.webhooks import Webhooks, what_changes

_SHOWN: dict[str, Any] = {
    "tags": ["webhooks"],
}


@post(
    "/webhooks",
    operation_id="add_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Add a webhook",
    description="It is told of what happens from now on. The answer has the secret that messages "
    "are signed with (Standard Webhooks); it is shown only here. On a server with accounts it is "
    "told of the jobs of one organisation, which the header `CI-Organisation` names.",
    status_code=201,
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def add_webhook(
    request: AnyRequest, state: State, data: JSONBody[WebhookRequest]
) -> WebhookWithSecret:
    """Keep a webhook."""
    asked = await strictly(request, data)
    organisation = await organisation_for(request, Action.MANAGE_WEBHOOKS)
    webhook = await _webhooks(state).add(asked, organisation)
    await note_webhook(request, AuditedAction.WEBHOOK_ADD, webhook)
    return await shown_with_secret(parts_of(state), webhook)


@get(
    "/webhooks",
    operation_id="list_webhooks",
    action=Action.READ_WEBHOOKS,
    summary="All webhooks, the oldest first",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def list_webhooks(
    request: AnyRequest, state: State, organisation: OrganisationName = None
) -> Sequence[WebhookView]:
    """Answer with all webhooks."""
    within = await within_asked(request, Action.READ_WEBHOOKS, organisation)
    return await shown_webhooks(parts_of(state), await _webhooks(state).store.all(within=within))


@get(
    "/webhooks/{webhook_id:str}",
    operation_id="get_webhook",
    action=Action.READ_WEBHOOKS,
    summary="One webhook",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def get_webhook(request: AnyRequest, state: State, webhook_id: WebhookId) -> WebhookView:
    """Answer with a webhook."""
    return await shown_webhook(parts_of(state), await visible_webhook(request, webhook_id))


@patch(
    "/webhooks/{webhook_id:str}",
    operation_id="change_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Change a webhook, enable or disable it",
    description="What is left out stays. Disabled, nothing is sent, and of what happens nothing is "
    "kept for it; what was pending goes on when it is enabled again.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def change_webhook(
    request: AnyRequest, state: State, webhook_id: WebhookId, data: JSONBody[WebhookChange]
) -> WebhookView:
    """Change a webhook."""
    change = await strictly(request, data)
    found = await managed_webhook(request, webhook_id)
    webhook = await _webhooks(state).change(found.id, change)
    await note_webhook(request, AuditedAction.WEBHOOK_CHANGE, webhook, what_changes(change))
    return await shown_webhook(parts_of(state), webhook)


@delete(
    "/webhooks/{webhook_id:str}",
    operation_id="remove_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Remove a webhook with its deliveries",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def remove_webhook(request: AnyRequest, state: State, webhook_id: WebhookId) -> None:
    """Remove a webhook."""
    found = await managed_webhook(request, webhook_id)
    await _webhooks(state).store.remove(found.id)
    await note_webhook(request, AuditedAction.WEBHOOK_REMOVE, found)


@post(
    "/webhooks/{webhook_id:str}/test",
    operation_id="test_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Send a ping",
    description="Answers with the delivery of a message of type `ping`; ask for it again to see "
    "what became of it.",
    status_code=202,
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def test_webhook(request: AnyRequest, state: State, webhook_id: WebhookId) -> DeliveryView:
    """Have a ping sent."""
    found = await managed_webhook(request, webhook_id)
    delivery = await _webhooks(state).test(found.id)
    await note_webhook(request, AuditedAction.WEBHOOK_TEST, found)
    return delivery_view(delivery)


@post(
    "/webhooks/{webhook_id:str}/rotate",
    operation_id="rotate_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Replace the secret",
    description="For `overlap` seconds messages are signed with both, so that no receiver misses "
    "one while it goes over. The answer has the new secret; it is shown only here.",
    status_code=200,
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def rotate_webhook(
    request: AnyRequest,
    state: State,
    webhook_id: WebhookId,
    data: JSONBody[WebhookRotation | None] = None,
) -> WebhookWithSecret:
    """Replace a secret."""
    asked = WebhookRotation() if data is None else await strictly(request, data)
    found = await managed_webhook(request, webhook_id)
    webhook = await _webhooks(state).rotate(found.id, asked)
    await note_webhook(request, AuditedAction.WEBHOOK_ROTATE, webhook)
    return await shown_with_secret(parts_of(state), webhook)


WEBHOOK_HANDLERS = (
    add_webhook,
    list_webhooks,
    get_webhook,
    change_webhook,
    remove_webhook,
    test_webhook,
    rotate_webhook,
    list_deliveries,
    list_dead_deliveries,
    get_delivery,
    redeliver,
)


def _webhooks(state: State) -> Webhooks:
    return parts_of(state).webhooks
