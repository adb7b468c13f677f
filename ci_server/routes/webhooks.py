"""Webhooks: who is told of jobs, and what became of it."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter, QueryParameter

from ci_common.access import Action
from ci_common.api.webhooks import (
    DeliveryView,
    WebhookChange,
    WebhookRequest,
    WebhookRotation,
    WebhookView,
    WebhookWithSecret,
    delivery_view,
    webhook_view,
    webhook_with_secret,
)
from ci_common.errors import InvalidRequest
from ci_common.webhooks import Delivery, DeliveryState
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems
from ci_server.webhooks import Webhooks

_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 500

_Document = TypeVar("_Document", WebhookRequest, WebhookChange, WebhookRotation)

_SHOWN: dict[str, Any] = {
    "tags": ["webhooks"],
}

WebhookId = Annotated[str, PathParameter(description="A webhook's id: `wh_…`.", max_length=64)]
DeliveryId = Annotated[str, PathParameter(description="A delivery's id: `msg_…`.", max_length=64)]
Limit = Annotated[
    int, QueryParameter(ge=1, le=_LARGEST_LIMIT, description="At most so many on a page.")
]
Cursor = Annotated[
    int | None,
    QueryParameter(ge=1, le=2**63 - 1, description="Where the page before ended, from its Link."),
]


@post(
    "/webhooks",
    operation_id="add_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Add a webhook",
    description="It is told of what happens from now on. The answer has the secret that messages "
    "are signed with (Standard Webhooks); it is shown only here.",
    status_code=201,
    responses=problems(400, 503),
    **_SHOWN,
)
async def add_webhook(
    request: AnyRequest, state: State, data: JSONBody[WebhookRequest]
) -> WebhookWithSecret:
    """Keep a webhook."""
    return webhook_with_secret(await _webhooks(state).add(await _strictly(request, data)))


@get(
    "/webhooks",
    operation_id="list_webhooks",
    action=Action.READ_WEBHOOKS,
    summary="All webhooks, the oldest first",
    responses=problems(503),
    **_SHOWN,
)
async def list_webhooks(state: State) -> Sequence[WebhookView]:
    """Answer with all webhooks."""
    return [webhook_view(each) for each in await _webhooks(state).store.all()]


@get(
    "/webhooks/{webhook_id:str}",
    operation_id="get_webhook",
    action=Action.READ_WEBHOOKS,
    summary="One webhook",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def get_webhook(state: State, webhook_id: WebhookId) -> WebhookView:
    """Answer with a webhook."""
    return webhook_view(await _webhooks(state).store.get(webhook_id))


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
    change = await _strictly(request, data)
    return webhook_view(await _webhooks(state).change(webhook_id, change))


@delete(
    "/webhooks/{webhook_id:str}",
    operation_id="remove_webhook",
    action=Action.MANAGE_WEBHOOKS,
    summary="Remove a webhook with its deliveries",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def remove_webhook(state: State, webhook_id: WebhookId) -> None:
    """Remove a webhook."""
    await _webhooks(state).store.remove(webhook_id)


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
async def test_webhook(state: State, webhook_id: WebhookId) -> DeliveryView:
    """Have a ping sent."""
    return delivery_view(await _webhooks(state).test(webhook_id))


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
    asked = WebhookRotation() if data is None else await _strictly(request, data)
    return webhook_with_secret(await _webhooks(state).rotate(webhook_id, asked))


@get(
    "/webhooks/{webhook_id:str}/deliveries",
    operation_id="list_deliveries",
    action=Action.READ_WEBHOOKS,
    summary="Deliveries of a webhook, newest first",
    description='`Link: …; rel="next"` leads to older ones.',
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def list_deliveries(
    request: AnyRequest,
    state: State,
    webhook_id: WebhookId,
    limit: Limit = _DEFAULT_LIMIT,
    cursor: Cursor = None,
    status: Annotated[
        DeliveryState | None, QueryParameter(name="state", description="Only those in this state.")
    ] = None,
) -> Response[Sequence[DeliveryView]]:
    """Answer with a page of deliveries."""
    found = await _webhooks(state).store.deliveries(
        limit=limit + 1, before=cursor, webhook_id=webhook_id, state=status
    )
    return _page(request, found, limit, {} if status is None else {"state": status.value})


@get(
    "/webhooks/dead",
    operation_id="list_dead_deliveries",
    action=Action.READ_WEBHOOKS,
    summary="Deliveries that are not tried any more, newest first",
    description='The dead-letter list, of all webhooks. `Link: …; rel="next"` leads to older ones.',
    responses=problems(400, 503),
    **_SHOWN,
)
async def list_dead_deliveries(
    request: AnyRequest,
    state: State,
    limit: Limit = _DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Sequence[DeliveryView]]:
    """Answer with a page of dead deliveries."""
    found = await _webhooks(state).store.deliveries(
        limit=limit + 1, before=cursor, state=DeliveryState.DEAD
    )
    return _page(request, found, limit, {})


@get(
    "/webhooks/deliveries/{delivery_id:str}",
    operation_id="get_delivery",
    action=Action.READ_WEBHOOKS,
    summary="One delivery, with its message",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def get_delivery(state: State, delivery_id: DeliveryId) -> DeliveryView:
    """Answer with a delivery."""
    return delivery_view(await _webhooks(state).store.delivery(delivery_id), whole=True)


@post(
    "/webhooks/deliveries/{delivery_id:str}/redeliver",
    operation_id="redeliver",
    action=Action.MANAGE_WEBHOOKS,
    summary="Try a delivery again, now",
    description="Whatever became of it: the same message with the same `webhook-id`; its schedule "
    "begins anew.",
    status_code=202,
    responses=problems(400, 404, 409, 503),
    **_SHOWN,
)
async def redeliver(state: State, delivery_id: DeliveryId) -> DeliveryView:
    """Have a delivery tried again."""
    return delivery_view(await _webhooks(state).redeliver(delivery_id))


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


async def _strictly(request: AnyRequest, document: _Document) -> _Document:
    """Return the body as it was sent: the framework takes 0 for no, and text for a number."""
    try:
        return msgspec.convert(await request.json(), type(document))
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None


def _page(
    request: AnyRequest,
    found: Sequence[Delivery],
    limit: int,
    filters: dict[str, str],
) -> Response[Sequence[DeliveryView]]:
    page = found[:limit]
    headers = {}
    if len(found) > limit:
        query = urlencode({"limit": limit, "cursor": page[-1].seq, **filters})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response([delivery_view(each) for each in page], headers=headers)
