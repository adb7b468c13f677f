"""What happened to jobs: one event for each change of a row, in the order of the changes.

Whatever keeps the jobs writes an event in the same transaction as the change
itself: none is missing, and none tells of what was undone. ``seq`` grows with
each event and never comes again, so whoever has seen everything up to a
``seq`` needs nothing else to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ci_common.access import Within
from ci_common.jobs import EndReason, JobStatus

VERSION = 1
"""The version of an event's fields. Fields and types that are added do not change it."""


class EventType(StrEnum):
    """What happened."""

    QUEUED = "job.queued"
    """It was submitted."""
    RUNNING = "job.running"
    """An attempt was claimed."""
    REQUEUED = "job.requeued"
    """The attempt was lost, and the job waits again; ``detail`` says why."""
    STOPPING = "job.stopping"
    """The attempt is being stopped for ``reason``."""
    ENDED = "job.ended"
    """It has its verdict."""
    REMOVED = "job.removed"
    """It is not kept any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One change of one job, with the job as it was right after it.

    ``at`` is when it happened, in UTC; it may go back when a clock is set.
    ``status`` is None once the job is removed.
    """

    seq: int
    at: datetime
    type: EventType
    job_id: str
    project: str
    submitter: str
    attempt: int
    organisation: str = ""
    status: JobStatus | None = None
    reason: EndReason | None = None
    exit_code: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted: those that agree in everything that is given."""

    job_id: str | None = None
    project: str | None = None
    submitter: str | None = None
    types: frozenset[EventType] = frozenset()
    """Empty for all."""
    within: Within = None
    """Of jobs of these organisations; None for all."""

    def admits(self, event: StoredEvent) -> bool:
        """Return whether an event is wanted."""
        return (
            self.job_id in {None, event.job_id}
            and self.project in {None, event.project}
            and self.submitter in {None, event.submitter}
            and (self.within is None or event.organisation in self.within)
            and (not self.types or event.type in self.types)
        )


EVERYTHING = EventFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in the order of ``seq``, and how far that leads: all of it as of one moment.

    ``through``: whatever was wanted up to this ``seq`` has been seen now.
    ``oldest`` is the first event that is kept, ``latest + 1`` if none is;
    ``latest`` the last that was ever written, 0 before the first.
    """

    events: Sequence[StoredEvent]
    through: int
    oldest: int
    latest: int

    @property
    def more(self) -> bool:
        """Whether there was more to read at that moment."""
        return self.through < self.latest


class EventStore(Protocol):
    """Where events are kept. What is kept is always all from some ``seq`` on.

    Every method may raise ``StorageBusy``, ``prune`` also ``StorageFull``.
    """

    async def after(self, seq: int, *, limit: int, wanted: EventFilter = EVERYTHING) -> EventPage:
        """Return the first ``limit`` wanted events beyond ``seq``.

        A ``seq`` before ``oldest - 1`` means that some are not kept any more;
        one beyond ``latest`` is of another store, or of a backup's future, and
        gets an empty page whose ``through`` is ``latest``.
        """
        ...

    async def latest(self) -> int:
        """Return the ``seq`` of the last event that was ever written, 0 before the first."""
        ...

    async def oldest(self) -> int:
        """Return the ``seq`` of the first event that is kept, ``latest() + 1`` if none is."""
        ...

    async def prune(self, *, before: datetime | None, keep: int, limit: int = 5000) -> int:
        """Delete the oldest events, at most ``limit`` of them; return how many.

        Those from ``before`` that moment go (None: none for their age), up to
        the first that is younger, and those beyond the latest ``keep``.
        """
        ...
