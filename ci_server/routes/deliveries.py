"""What became of messages to webhooks."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import PathParameter, QueryParameter

from ci_common.access import Action
from ci_common.api.webhooks import DeliveryView, delivery_view
from ci_common.audit import AuditedAction
from ci_common.webhooks import Delivery, DeliveryState
from ci_server.access import within_asked, within_of
from ci_server.job_query import AnyRequest
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems
from ci_server.webhook_access import managed_delivery, note_webhook, visible_webhook

_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 500

WebhookId = Annotated[str, PathParameter(description="A webhook's id: `wh_…`.", max_length=64)]
DeliveryId = Annotated[str, PathParameter(description="A delivery's id: `msg_…`.", max_length=64)]
Limit = Annotated[
    int, QueryParameter(ge=1, le=_LARGEST_LIMIT, description="At most so many on a page.")
]
Cursor = Annotated[
    int | None,
    QueryParameter(ge=1, le=2**63 - 1, description="Where the page before ended, from its Link."),
]


@get(
    "/webhooks/{webhook_id:str}/deliveries",
    operation_id="list_deliveries",
    action=Action.READ_WEBHOOKS,
    summary="Deliveries of a webhook, newest first",
    description='`Link: …; rel="next"` leads to older ones.',
    responses=problems(400, 404, 503),
    tags=["webhooks"],
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
    webhook = await visible_webhook(request, webhook_id)
    found = await parts_of(state).webhooks.store.deliveries(
        limit=limit + 1, before=cursor, webhook_id=webhook.id, state=status
    )
    return _page(request, found, limit, {} if status is None else {"state": status.value})


@get(
    "/webhooks/dead",
    operation_id="list_dead_deliveries",
    action=Action.READ_WEBHOOKS,
    summary="Deliveries that are not tried any more, newest first",
    description='The dead-letter list, of all webhooks. `Link: …; rel="next"` leads to older ones.',
    responses=problems(400, 404, 503),
    tags=["webhooks"],
)
async def list_dead_deliveries(
    request: AnyRequest,
    state: State,
    limit: Limit = _DEFAULT_LIMIT,
    cursor: Cursor = None,
    organisation: OrganisationName = None,
) -> Response[Sequence[DeliveryView]]:
    """Answer with a page of dead deliveries."""
    within = await within_asked(request, Action.READ_WEBHOOKS, organisation)
    found = await parts_of(state).webhooks.store.deliveries(
        limit=limit + 1, before=cursor, state=DeliveryState.DEAD, within=within
    )
    return _page(request, found, limit, {"organisation": organisation} if organisation else {})


@get(
    "/webhooks/deliveries/{delivery_id:str}",
    operation_id="get_delivery",
    action=Action.READ_WEBHOOKS,
    summary="One delivery, with its message",
    responses=problems(400, 404, 503),
    tags=["webhooks"],
)
async def get_delivery(request: AnyRequest, state: State, delivery_id: DeliveryId) -> DeliveryView:
    """Answer with a delivery."""
    within = within_of(request, Action.READ_WEBHOOKS)
    found = await parts_of(state).webhooks.store.delivery(delivery_id, within=within)
    return delivery_view(found, whole=True)


@post(
    "/webhooks/deliveries/{delivery_id:str}/redeliver",
    operation_id="redeliver",
    action=Action.MANAGE_WEBHOOKS,
    summary="Try a delivery again, now",
    description="Whatever became of it: the same message with the same `webhook-id`; its schedule "
    "begins anew.",
    status_code=202,
    responses=problems(400, 404, 409, 503),
    tags=["webhooks"],
)
async def redeliver(request: AnyRequest, state: State, delivery_id: DeliveryId) -> DeliveryView:
    """Have a delivery tried again."""
    found, webhook = await managed_delivery(request, delivery_id)
    delivery = await parts_of(state).webhooks.redeliver(found)
    await note_webhook(request, AuditedAction.WEBHOOK_REDELIVER, webhook, found)
    return delivery_view(delivery)


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
