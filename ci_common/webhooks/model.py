"""Webhooks and their deliveries, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ci_common.access import NOBODYS
from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason

LONGEST_WAIT = timedelta(days=2)
"""No wait for the next try is longer. One that is comes from a clock that was set back."""


PING = "ping"
"""The type of a message that only tries the way."""


class DeliveryState(StrEnum):
    """What has become of a delivery."""

    PENDING = "pending"
    """It is tried, now or later."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """It is not tried any more, unless somebody asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that wants to be told of the jobs of its ``organisation`` (an id).

    ``types`` are the events it wants; of ``projects`` and ``reasons`` all, when
    they are empty. ``reasons`` narrow ``job.ended`` only. ``secret`` signs;
    ``old_secret`` signs too until ``old_secret_until``, while a receiver goes
    over to the new one. ``disabled_reason`` says why the server has ceased to
    send, None if a person did it. ``failing_since``: when the first of the
    latest failures was, None once something has arrived.
    """

    id: str
    url: str
    secret: str
    created_at: datetime
    organisation: str = NOBODYS
    description: str = ""
    types: Sequence[EventType] = (EventType.ENDED,)
    projects: Sequence[str] = ()
    reasons: Sequence[EndReason] = ()
    enabled: bool = True
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    old_secret: str | None = None
    old_secret_until: datetime | None = None

    def wants(self, change: StoredEvent) -> bool:
        """Return whether it is to be told of a change."""
        if change.organisation != self.organisation:
            return False
        if change.type not in self.types or (self.projects and change.project not in self.projects):
            return False
        narrowed = change.type is EventType.ENDED and self.reasons
        return not narrowed or change.reason in self.reasons

    def secrets(self, now: datetime) -> Sequence[str]:
        """Return what messages are signed with, the newest first."""
        if self.old_secret is None or self.old_secret_until is None or now >= self.old_secret_until:
            return (self.secret,)
        return (self.secret, self.old_secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one webhook. ``id`` is what the receiver sees as ``webhook-id``.

    ``seq`` is the order in which they were made. ``body`` is what is sent, the
    same in every try. ``attempts`` counts the tries that came to an end, and is
    the token of the next one; those since ``schedule_from`` count when it is
    decided whether to go on. ``next_try`` is set while it is pending. What
    begins with ``last_`` is of the latest try: ``last_response`` the start of
    the answer's body, ``last_seconds`` how long it took.
    """

    id: str
    seq: int
    webhook_id: str
    type: str
    body: str
    created_at: datetime
    job_id: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    schedule_from: int = 0
    next_try: datetime | None = None
    last_try: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    last_response: str | None = None
    last_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one try went. ``error`` is None when the receiver took the message.

    ``status`` is that of the answer, None without one; ``retry_after`` the
    seconds that the receiver asked for.
    """

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    response: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What follows from a try. ``disable`` says why nothing is sent to the webhook any more."""

    state: DeliveryState
    next_try: datetime | None = None
    disable: str | None = None
