"""Where webhooks and deliveries are kept: what the rest of the system asks of a store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ci_common.access import Within
from ci_common.job_events import StoredEvent
from ci_common.jobs import Job
from ci_common.webhooks.model import Attempt, Delivery, DeliveryState, Next, Webhook

Render = Callable[[StoredEvent, Job | None], str]
"""Makes the body of a message. The job is as it is now; None if it has been removed since."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is to be tried now, and whom it is for."""

    delivery: Delivery
    webhook: Webhook


class WebhookStore(Protocol):
    """Webhooks, their deliveries, and how far the events have been gone through.

    Durable: a call that returned is on disk. Any number of tasks and processes
    may call at once. Every method may raise ``StorageBusy`` or ``DatabaseFull``;
    nothing was changed then. ``WebhookNotFound`` and ``DeliveryNotFound`` are
    raised where an id is of nothing, or of something of other organisations than ``within``.
    """

    async def add(self, webhook: Webhook) -> Webhook:
        """Store a webhook; it is told of what happens from now on."""
        ...

    async def get(self, webhook_id: str, *, within: Within = None) -> Webhook:
        """Return a webhook."""
        ...

    async def all(self, *, within: Within = None) -> Sequence[Webhook]:
        """Return every webhook of the organisations, the oldest first."""
        ...

    async def change(self, webhook: Webhook) -> Webhook:
        """Write everything of a webhook but its secrets and whose it is; return it as it is now.

        One that comes to be enabled is told of what happens from now on, and
        what it had failed at is forgotten.
        """
        ...

    async def rotate(self, webhook_id: str, *, secret: str, old_until: datetime) -> Webhook:
        """Give a webhook a new secret; the one before signs as well until then."""
        ...

    async def remove(self, webhook_id: str) -> None:
        """Delete a webhook with all of its deliveries."""
        ...

    async def collect(self, render: Render, *, now: datetime, limit: int) -> int:
        """Make deliveries of the next ``limit`` events; return how many events that were.

        Deliveries and the place up to which events have been gone through are
        one transaction: every event a webhook wants makes exactly one delivery,
        whoever calls, and wherever it is cut. Without a webhook that is
        enabled nothing is read and nothing is written.
        """
        ...

    async def enqueue(self, webhook_id: str, *, kind: str, body: str, now: datetime) -> Delivery:
        """Make a delivery of no event; ``kind`` is the type of the message.

        Raises:
            InvalidTransition: the webhook is disabled.

        """
        ...

    async def due(self, *, now: datetime, per_webhook: int) -> Sequence[Due]:
        """Return the deliveries to try now: of each enabled webhook the first that are due."""
        ...

    async def next_try(self) -> datetime | None:
        """Return when the next delivery is due, which may be past; None if none is pending."""
        ...

    async def record(
        self, delivery_id: str, *, attempts: int, attempt: Attempt, then: Next
    ) -> bool:
        """Write down how a try went and what follows, for its webhook too.

        False, and nothing is changed, when the delivery has not had just
        ``attempts`` tries or is not pending: someone else tried it, or it is
        gone. When ``then`` disables the webhook, all that is pending for it is
        dead.
        """
        ...

    async def deliveries(
        self,
        *,
        limit: int,
        before: int | None = None,
        webhook_id: str | None = None,
        state: DeliveryState | None = None,
        within: Within = None,
    ) -> Sequence[Delivery]:
        """Return at most ``limit`` deliveries, newest first, below the ``seq`` ``before``."""
        ...

    async def delivery(self, delivery_id: str, *, within: Within = None) -> Delivery:
        """Return a delivery."""
        ...

    async def redeliver(self, delivery_id: str, *, now: datetime) -> Delivery:
        """Have a delivery tried now, whatever became of it; its schedule begins anew.

        Raises:
            InvalidTransition: its webhook is disabled.

        """
        ...

    async def prune(self, *, before: datetime) -> int:
        """Delete deliveries made before then that are not pending; return how many."""
        ...
