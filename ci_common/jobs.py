"""A job, and the states it can be in.

::

                cancel                       cancel (container stopped first)
     queued ───────────▶ cancelled ◀──────────────────────── running ──▶ completed
       │  claim                                                ▲ │
       └───────────────────────────────────────────────────────┘ │ infrastructure fault
       ◀─────────────────────────────────────────────────────────┘ (attempts left)

``attempt`` counts claims and is the fencing token: every write to a running
job names the attempt it speaks for, and one that is no longer current changes
nothing. ``faults`` counts the infrastructure faults charged against
``max_attempts``; a claim that our own crash undid is not charged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from ci_common.clock import Moment
from ci_common.errors import InvalidTransition
from ci_common.recipe import Recipe
from ci_common.results import Counts, Coverage, ResultsState

LONGEST_HOLD = timedelta(minutes=10)
"""No backoff is longer. A hold that ends later is left from a clock that was set back."""


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing further can happen to a job in this state."""
        return not TRANSITIONS[self]


class Change(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    FINISH = "finish"
    REQUEUE = "requeue"
    CANCEL = "cancel"


TRANSITIONS: Mapping[JobStatus, Mapping[Change, JobStatus]] = MappingProxyType(
    {
        JobStatus.QUEUED: {
            Change.CLAIM: JobStatus.RUNNING,
            Change.CANCEL: JobStatus.CANCELLED,
        },
        JobStatus.RUNNING: {
            Change.FINISH: JobStatus.COMPLETED,
            Change.REQUEUE: JobStatus.QUEUED,
            Change.CANCEL: JobStatus.CANCELLED,
        },
        JobStatus.COMPLETED: {},
        JobStatus.CANCELLED: {},
    }
)


def next_status(status: JobStatus, change: Change) -> JobStatus:
    """Return the state ``change`` leads to.

    Raises:
        InvalidTransition: a job in ``status`` cannot undergo ``change``.

    """
    try:
        return TRANSITIONS[status][change]
    except KeyError:
        raise InvalidTransition(f"a {status} job cannot {change}") from None


def sources(change: Change) -> tuple[JobStatus, ...]:
    """Return the states in which ``change`` is allowed."""
    return tuple(status for status, moves in TRANSITIONS.items() if change in moves)


class EndReason(StrEnum):
    """Why a job ended as it did. A fault of ours is never shown as a failed test."""

    PASSED = "passed"
    FAILED = "failed"
    NO_TESTS = "no_tests"
    TIMED_OUT = "timed_out"
    OOM_KILLED = "oom_killed"
    CANCELLED = "cancelled"
    QUEUE_TIMED_OUT = "queue_timed_out"
    INFRA_ERROR = "infra_error"


class GroupPolicy(StrEnum):
    """What a job does about the others of its concurrency group."""

    CANCEL_OLDER = "cancel_older"
    """When it comes, it cancels those that have not ended."""
    QUEUE = "queue"
    """It starts when none of them runs and none waits before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a job ended. ``exit_code`` is the command's own, None if it never ran to an end."""

    reason: EndReason
    exit_code: int | None = None
    detail: str | None = None

    @property
    def success(self) -> bool:
        """Whether the verdict is a pass."""
        return self.reason is EndReason.PASSED

    @property
    def change(self) -> Change:
        """What writing this result does to a running job."""
        return Change.CANCEL if self.reason in _CANCELLING else Change.FINISH


_CANCELLING = frozenset({EndReason.CANCELLED, EndReason.QUEUE_TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A submission that is safe on disk, as the file ``zip_path``: a zip, or a tree.

    ``organisation`` is the id of the one it belongs to, ``""`` on a server without accounts.

    ``packs`` are those that a tree reads from. ``fingerprint`` is what makes
    two submissions the same one under an ``idempotency_key`` (the SHA-256 of
    the zip or the manifest, and the options).

    ``submitter`` says who sent it, as the client puts it; ``labels`` are names
    with values, ``""`` for none. ``group`` is its concurrency group within its
    project, ``""`` for none. ``queue_timeout``: seconds it may wait for its first
    claim. ``retry_of``: the id of the job whose project it runs again.
    ``tree_sha256`` is equal for two jobs whose files are equal, whichever way they
    came. ``traceparent`` names the trace it belongs to, as W3C Trace Context writes it.
    """

    id: str
    recipe: Recipe
    zip_path: str
    zip_size: int
    zip_sha256: str
    created: Moment
    organisation: str = ""
    project: str = ""
    priority: int = 0
    submitter: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    group_policy: GroupPolicy = GroupPolicy.CANCEL_OLDER
    queue_timeout: float | None = None
    retry_of: str | None = None
    tree_sha256: str | None = None
    max_attempts: int = 3
    idempotency_key: str | None = None
    fingerprint: str = ""
    packs: frozenset[int] = frozenset()
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row; what came with the submission is described in ``NewJob``.

    ``seq`` grows with every submission. ``stashed``: whether its project is still there.
    ``image_id`` is the engine's id of the image that the latest attempt ran in.

    ``container`` is the name of the present attempt's container once it is
    about to be fed; ``preparing`` the key of the dependencies that this attempt
    installs or has installed in a container before that; ``log_base`` the offset
    in the job's log at which the output of the latest of them begins, or would
    begin if the engine's record lacked nothing of it; ``log_settled`` the offset
    up to which that is known; ``fed`` whether the whole project is known to have
    reached its container; ``stop_reason`` why the attempt is being stopped, if it is.

    ``preparing_at``, ``container_at`` and ``fed_at`` are when the present attempt
    came to the latest of those notes, by the store's wall clock; for people, and
    None where a store does not keep them.

    ``results`` is where what it left behind is; ``tests`` and ``coverage`` are of
    what was collected.
    """

    id: str
    seq: int
    status: JobStatus
    recipe: Recipe
    created_at: datetime
    zip_path: str
    zip_size: int
    zip_sha256: str
    organisation: str = ""
    project: str = ""
    priority: int = 0
    submitter: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    group_policy: GroupPolicy = GroupPolicy.CANCEL_OLDER
    queue_timeout: float | None = None
    retry_of: str | None = None
    tree_sha256: str | None = None
    image_id: str | None = None
    stashed: bool = True
    attempt: int = 0
    faults: int = 0
    max_attempts: int = 3
    preparing: str | None = None
    container: str | None = None
    log_base: int = 0
    log_settled: int = 0
    fed: bool = False
    started: Moment | None = None
    end_time: datetime | None = None
    hold_until: datetime | None = None
    stop_reason: EndReason | None = None
    reason: EndReason | None = None
    exit_code: int | None = None
    detail: str | None = None
    traceparent: str | None = None
    preparing_at: datetime | None = None
    container_at: datetime | None = None
    fed_at: datetime | None = None
    results: ResultsState = ResultsState.NONE
    tests: Counts | None = None
    coverage: Coverage | None = None

    @property
    def start_time(self) -> datetime | None:
        """When the present attempt was claimed."""
        return self.started.wall if self.started else None

    @property
    def success(self) -> bool | None:
        """The verdict, or None while there is none."""
        return self.reason is EndReason.PASSED if self.reason else None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs wait and how many run."""

    queued: int
    running: int
