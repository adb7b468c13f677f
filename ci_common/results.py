"""What a job leaves behind beside its verdict and its log: files, outcomes of tests, coverage."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from ci_common.access import Within
from ci_common.artifacts import Artifact


class ResultsState(StrEnum):
    """Where a job's results are."""

    NONE = "none"
    """There are none to collect, or the job has not ended."""
    PENDING = "pending"
    """The job has ended; its container is kept until they are collected."""
    COLLECTED = "collected"
    LOST = "lost"
    """Its container was gone before anything could be collected."""


class Outcome(StrEnum):
    """How a test ended. ``ERROR``: not by its own doing, as in a fixture, or it never ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


BAD = (Outcome.FAILED, Outcome.ERROR)
"""What a test is run again for."""


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One test of one job. ``duration`` in seconds, with its fixtures.

    ``node_id`` is what pytest can be given to run it again; for reports of
    other tools, class and name.
    """

    node_id: str
    classname: str
    name: str
    file: str
    outcome: Outcome
    duration: float
    message: str = ""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many tests ended how; ``duration`` is the seconds of all of them together."""

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    xfailed: int = 0
    duration: float = 0.0


def count(cases: Collection[Case]) -> Counts | None:
    """Return how many tests ended how, None if there are none."""
    if not cases:
        return None
    by_outcome = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    for case in cases:
        by_outcome[case.outcome] += 1
    return Counts(**by_outcome, duration=round(sum(case.duration for case in cases), 6))


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the code ran: rates from 0 to 1. ``source`` is what said so."""

    line_rate: float
    branch_rate: float | None = None
    source: str = ""


class LeftOut(msgspec.Struct, frozen=True):
    """A file that was not kept, or not read, and why."""

    path: str
    reason: str


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All that was collected of a job. ``left_out`` names some of ``left_out_count`` files."""

    artifacts: Sequence[Artifact] = ()
    cases: Sequence[Case] = ()
    coverage: Coverage | None = None
    left_out: Sequence[LeftOut] = ()
    left_out_count: int = 0


class CaseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests of a job are asked for, and from which one on.

    ``text``: part of the node id or the message, whatever its case. ``slowest``: those that
    took longest first, else in the order in which they ran.
    """

    outcomes: tuple[Outcome, ...] = ()
    text: str = ""
    slowest: bool = False
    offset: int = 0
    limit: int = 100


class PastCase(msgspec.Struct, frozen=True, kw_only=True):
    """One test in one of the jobs it ran in."""

    seq: int
    job_id: str
    project: str
    ended_at: datetime
    outcome: Outcome
    duration: float
    message: str
    tree_sha256: str | None
    image_id: str | None


class FlakyTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test that passed and failed on the same files in the same image.

    Only runs on such files and images count in ``passed`` and ``failed``;
    ``trees`` is how many pairs of files and image there are.
    """

    node_id: str
    project: str
    passed: int
    failed: int
    trees: int
    last_failed_job: str


class ResultStore(Protocol):
    """Results by job. They go with their job.

    Durable: a call that returned is on disk. Any number of tasks and processes
    may call at once. Every method may raise ``StorageBusy`` or ``StorageFull``.
    """

    async def record(self, job_id: str, results: Results) -> bool:
        """Store what was collected of a job, once its artifacts are durable.

        False, and nothing is changed, when its results are not pending (any
        more). Until it has returned nothing of it is seen.
        """
        ...

    async def give_up(self, job_id: str, reason: str) -> bool:
        """Note that nothing can be collected of a job, and why. False as for ``record``."""
        ...

    async def artifact_room(self, job_id: str) -> int | None:
        """Return how many bytes of artifacts a job's organisation may have more; None for any."""
        ...

    async def left_out(self, job_id: str) -> tuple[Sequence[LeftOut], int]:
        """Return some of the files of a job that were left out, and how many there are."""
        ...

    async def artifacts(self, job_id: str) -> Sequence[Artifact]:
        """Return a job's artifacts by path."""
        ...

    async def cases(self, job_id: str, query: CaseQuery) -> Sequence[Case]:
        """Return tests of a job, at most ``query.limit``."""
        ...

    async def failed_tests(self, job_id: str) -> Sequence[str]:
        """Return the node ids of a job's tests that failed or met an error, in order."""
        ...

    async def history(
        self,
        node_id: str,
        *,
        project: str | None,
        limit: int,
        before: int | None = None,
        within: Within = None,
    ) -> Sequence[PastCase]:
        """Return how a test ended, the newest job first, in jobs below the ``seq`` ``before``.

        Only in jobs of the organisations ``within``.
        """
        ...

    async def flaky(
        self, *, project: str | None, limit: int, within: Within = None
    ) -> Sequence[FlakyTest]:
        """Return tests with different outcomes on equal files in the same image.

        The ones that failed in the latest jobs come first. Only jobs of the organisations
        ``within`` count, and those of each only with its own.
        """
        ...
