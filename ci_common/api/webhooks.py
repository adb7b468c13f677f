"""Webhooks and their deliveries as HTTP shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from ci_common.clock import format_utc
from ci_common.job_events import EventType
from ci_common.jobs import EndReason
from ci_common.webhooks.model import Delivery, Webhook

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Types = Annotated[list[EventType], msgspec.Meta(min_length=1, max_length=10)]
Projects = Annotated[list[Text], msgspec.Meta(max_length=100)]
Reasons = Annotated[list[EndReason], msgspec.Meta(max_length=10)]


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be. An empty list of projects or reasons means all.

    ``reasons`` narrow ``job.ended`` only. Without a ``secret`` the server makes one.
    """

    url: Url
    description: Text = ""
    types: Types = msgspec.field(default_factory=lambda: [EventType.ENDED])
    projects: Projects = []
    reasons: Reasons = []
    secret: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a webhook; what is left out or null stays as it is."""

    url: Url | None = None
    description: Text | None = None
    types: Types | None = None
    projects: Projects | None = None
    reasons: Reasons | None = None
    enabled: bool | None = None


class WebhookRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to replace a secret. ``overlap``: seconds in which the old one signs as well."""

    overlap: Annotated[float, msgspec.Meta(ge=0, le=7 * 86_400)] = 86_400.0
    secret: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. Times are UTC in RFC 3339 with a ``Z``.

    ``disabled_reason`` says why the server has ceased to send; null when
    somebody has disabled it. ``failing_since`` is the first failure since
    something arrived. ``old_secret_until``: so long two secrets sign. It is told of
    jobs of its ``organisation``: a name, empty on a server without accounts.
    """

    id: str
    organisation: str = ""
    url: str
    description: str
    types: Sequence[str]
    projects: Sequence[str]
    reasons: Sequence[str]
    enabled: bool
    disabled_reason: str | None
    failing_since: str | None
    created_at: str
    old_secret_until: str | None


class WebhookWithSecret(WebhookView, frozen=True, kw_only=True):
    """A webhook with its secret, which is shown this once."""

    secret: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one webhook. Its ``id`` is the ``webhook-id`` that the receiver sees.

    ``state`` is ``pending``, ``delivered`` or ``dead``. What begins with
    ``last_`` is of the latest try; ``last_response`` is the start of an answer
    that was not a good one. ``body`` is left out in lists.
    """

    id: str
    webhook_id: str
    type: str
    job_id: str | None
    state: str
    attempts: int
    created_at: str
    next_try: str | None
    last_try: str | None
    last_status: int | None
    last_error: str | None
    last_response: str | None
    last_seconds: float | None
    body: str | None = None


def webhook_view(webhook: Webhook, organisation: str = "") -> WebhookView:
    """Return what clients may see of a webhook; ``organisation`` is the name of its own."""
    return WebhookView(
        id=webhook.id,
        organisation=organisation,
        url=webhook.url,
        description=webhook.description,
        types=[kind.value for kind in webhook.types],
        projects=webhook.projects,
        reasons=[reason.value for reason in webhook.reasons],
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        failing_since=_when(webhook.failing_since),
        created_at=format_utc(webhook.created_at),
        old_secret_until=_when(webhook.old_secret_until),
    )


def webhook_with_secret(webhook: Webhook, organisation: str = "") -> WebhookWithSecret:
    """Return a webhook for the one who has just made its secret."""
    seen = msgspec.structs.asdict(webhook_view(webhook, organisation))
    return WebhookWithSecret(**seen, secret=webhook.secret)


def delivery_view(delivery: Delivery, *, whole: bool = False) -> DeliveryView:
    """Return what clients may see of a delivery; its body only if it is the ``whole``."""
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        type=delivery.type,
        job_id=delivery.job_id,
        state=delivery.state.value,
        attempts=delivery.attempts,
        created_at=format_utc(delivery.created_at),
        next_try=_when(delivery.next_try),
        last_try=_when(delivery.last_try),
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        last_response=delivery.last_response,
        last_seconds=delivery.last_seconds,
        body=delivery.body if whole else None,
    )


def _when(when: datetime | None) -> str | None:
    return None if when is None else format_utc(when)
