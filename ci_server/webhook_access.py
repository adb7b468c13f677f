"""The webhooks that whoever asks may see or manage, and how they look to them."""

from collections.abc import Sequence

from ci_common.access import Action, OfOrganisation
from ci_common.api.webhooks import (
    WebhookView,
    WebhookWithSecret,
    webhook_view,
    webhook_with_secret,
)
from ci_common.audit import AuditedAction
from ci_common.webhooks import Webhook
from ci_server.access import require, within_of
from ci_server.audit import audit
from ci_server.authentication import AnyConnection
from ci_server.organisations import organisation_name, organisation_names
from ci_server.parts import Parts, parts_of


async def visible_webhook(connection: AnyConnection, webhook_id: str) -> Webhook:
    """Return a webhook, if who asks may see it. Raises ``WebhookNotFound``."""
    limit = within_of(connection, Action.READ_WEBHOOKS)
    return await _parts(connection).webhooks.store.get(webhook_id, within=limit)


async def managed_webhook(connection: AnyConnection, webhook_id: str) -> Webhook:
    """Return a webhook, if who asks may change it.

    Raises:
        WebhookNotFound: there is none that it may see or change.
        PermissionDenied: it may see it, and not change it.

    """
    # A key may be good for this and not for reading.
    limit = within_of(connection, Action.READ_WEBHOOKS, Action.MANAGE_WEBHOOKS)
    webhook = await _parts(connection).webhooks.store.get(webhook_id, within=limit)
    require(connection, Action.MANAGE_WEBHOOKS, OfOrganisation(webhook.organisation))
    return webhook


async def managed_delivery(connection: AnyConnection, delivery_id: str) -> tuple[str, Webhook]:
    """Return a delivery's id and its webhook, if who asks may change that.

    Raises:
        DeliveryNotFound: there is none that it may see or change.
        PermissionDenied: it may see it, and not change it.

    """
    limit = within_of(connection, Action.READ_WEBHOOKS, Action.MANAGE_WEBHOOKS)
    store = _parts(connection).webhooks.store
    delivery = await store.delivery(delivery_id, within=limit)
    return delivery.id, await managed_webhook(connection, delivery.webhook_id)


async def note_webhook(
    connection: AnyConnection, action: AuditedAction, webhook: Webhook, detail: str = ""
) -> None:
    """Write down what was done to a webhook."""
    await audit(connection, action, webhook.id, organisation=webhook.organisation, detail=detail)


async def shown_webhook(parts: Parts, webhook: Webhook) -> WebhookView:
    """Return what clients see of a webhook, with the name of its organisation."""
    return webhook_view(webhook, await organisation_name(parts.accounts, webhook.organisation))


async def shown_webhooks(parts: Parts, webhooks: Sequence[Webhook]) -> list[WebhookView]:
    """Return what clients see of webhooks in a list."""
    names = await organisation_names(parts.accounts, (each.organisation for each in webhooks))
    return [webhook_view(each, names[each.organisation]) for each in webhooks]


async def shown_with_secret(parts: Parts, webhook: Webhook) -> WebhookWithSecret:
    """Return a webhook for the one who has just made its secret."""
    name = await organisation_name(parts.accounts, webhook.organisation)
    return webhook_with_secret(webhook, name)


def _parts(connection: AnyConnection) -> Parts:
    return parts_of(connection.app.state)
