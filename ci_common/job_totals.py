"""What is known of all jobs together, at a cost that does not grow with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ci_common.jobs import EndReason


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long things took.

    ``buckets``: an upper bound in seconds and how many took at most so long and
    longer than the bound before it; ascending, the last bound is infinite.
    ``sum`` in seconds.
    """

    buckets: tuple[tuple[float, int], ...] = ()
    sum: float = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(count for _, count in self.buckets)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTotals:
    """Jobs as they are now, and counts of all time, which outlive the jobs they counted.

    ``oldest_queued``: when the job came in that waits longest, None if none does.
    ``queue_wait``: from a submission to its first claim. ``duration``: from the
    claim of the attempt that came to a result to that result.
    """

    queued: int
    running: int
    oldest_queued: datetime | None
    submitted: int
    requeued: int
    ended: Mapping[EndReason, int]
    queue_wait: Distribution
    duration: Distribution
