"""The queue as HTTP shows it. Times are UTC in RFC 3339 with a ``Z``, durations seconds."""

from collections.abc import Mapping, Sequence

import msgspec


class QueuedJobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits. ``position`` is 1 for the one whose turn is next.

    ``effective_priority`` is what its priority has become while it waits.
    ``waits_for``: ``turn``, ``hold`` (a pause after a fault), ``group`` (others
    of its concurrency group), ``quota`` (its organisation runs as many as it may)
    or ``engine``; ``waiting`` says it in words where it
    is not just its turn. ``expected_start`` and ``expected_duration`` go by
    what jobs took lately, and are null when nobody can tell.
    """

    job_id: str
    position: int
    project: str
    submitter: str
    labels: Mapping[str, str]
    group: str
    command: str
    priority: int
    effective_priority: float
    attempt: int
    waiting_since: str
    waits_for: str
    waiting: str | None
    expected_start: str | None
    expected_duration: float | None


class RunningJobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs, since ``running_for`` seconds.

    ``expected_end`` may be over. ``stopping``: the reason with which it is about to end.
    """

    job_id: str
    project: str
    submitter: str
    labels: Mapping[str, str]
    group: str
    command: str
    attempt: int
    start_time: str
    running_for: float
    expected_duration: float | None
    expected_end: str | None
    stopping: str | None


class QueueCountsView(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs wait, how many run, and how many can at once."""

    queued: int
    running: int
    capacity: int


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that wait, in the order of their turns, and those that run.

    ``waiting`` says what keeps all of them from going on, if anything does.
    """

    counts: QueueCountsView
    queued: Sequence[QueuedJobView]
    running: Sequence[RunningJobView]
    waiting: str | None
