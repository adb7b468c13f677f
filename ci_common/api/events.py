"""Live updates as HTTP shows them.

The rule of versions: fields and types may be added at any time, so clients
ignore what they do not know. What a field that is there means, or that it is
there, changes only with a higher ``version``.
"""

from collections.abc import Sequence

import msgspec

from ci_common.clock import format_utc
from ci_common.job_events import VERSION, StoredEvent

QUEUE_DEPTH = "queue.depth"
"""The type of ``QueueDepth``, which is no change of a job and is not kept."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one job. ``type``: ``job.queued``, ``job.running``, ``job.ended``, ….

    ``seq`` is its place among all events. ``time`` is UTC in RFC 3339 with a
    ``Z``. The rest is the job right after it; ``status`` is null once it is removed.
    """

    type: str
    version: int = VERSION
    seq: int
    time: str
    job_id: str
    project: str
    submitter: str
    status: str | None
    attempt: int
    reason: str | None
    exit_code: int | None
    detail: str | None


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=QUEUE_DEPTH):
    """How many jobs wait and run now."""

    version: int = VERSION
    queued: int
    running: int


class EventsGap(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    """What comes after ``after`` is not to be had; it goes on behind ``resumed``.

    Either that is not kept any more, or the server never wrote so many events:
    it was restored from a backup.
    """

    version: int = VERSION
    after: int
    resumed: int


class EventsFollowed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribed"):
    """All events after the sequence number ``after`` follow, as they come."""

    version: int = VERSION
    after: int


class EventHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what is kept: ``events`` after ``after`` in their order.

    ``next`` is the ``after`` of the next page, ``more`` whether there is one
    already. ``gap`` is there when some are missing in front.
    """

    events: Sequence[EventView]
    next: int
    more: bool
    gap: EventsGap | None = None


def event_view(event: StoredEvent) -> EventView:
    """Return what clients may see of an event."""
    return EventView(
        type=event.type.value,
        seq=event.seq,
        time=format_utc(event.at),
        job_id=event.job_id,
        project=event.project,
        submitter=event.submitter,
        status=None if event.status is None else event.status.value,
        attempt=event.attempt,
        reason=None if event.reason is None else event.reason.value,
        exit_code=event.exit_code,
        detail=event.detail,
    )
