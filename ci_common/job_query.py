"""Which jobs to list, in which order, and from where on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ci_common.access import Within
from ci_common.jobs import EndReason, Job, JobStatus


class JobSort(StrEnum):
    """The order of a list; ``-`` is the largest first. Equal ones are in the order of submission.

    By end there are only jobs that have ended, by duration only those that ran, too.
    """

    NEWEST = "-created"
    OLDEST = "created"
    ENDED_LAST = "-ended"
    ENDED_FIRST = "ended"
    LONGEST = "-duration"
    SHORTEST = "duration"

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return self.startswith("-")

    @property
    def field(self) -> str:
        """What is compared: ``created``, ``ended`` or ``duration``."""
        return self.removeprefix("-")


@dataclass(frozen=True, slots=True, order=True)
class LabelFilter:
    """A label that a job has to have; without ``value`` any value will do."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a listed job must be: all that is given. Nothing given is every job.

    Of several statuses, reasons, projects, submitters or groups, any one; of
    several labels or texts, all. ``since`` (included) and ``until`` (not
    included) are about the submission. A text is looked for as it is, without
    regard to the case of ASCII letters: in project, submitter, detail, command
    (its words joined by blanks) and labels (as ``name=value``), and at the
    beginning of the id.
    """

    statuses: frozenset[JobStatus] = frozenset()
    success: bool | None = None
    reasons: frozenset[EndReason] = frozenset()
    projects: frozenset[str] = frozenset()
    submitters: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    labels: frozenset[LabelFilter] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    texts: frozenset[str] = frozenset()
    within: Within = None
    """Of these organisations; None for all."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list: behind the job ``seq``, whose sort key is or was ``key``.

    It stays where it is when that job is removed. Without ``key``, in a list by
    submission, it is looked up.
    """

    seq: int
    key: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A page of a list: at most ``limit`` jobs behind the place ``after``."""

    filter: JobFilter = field(default_factory=JobFilter)
    sort: JobSort = JobSort.NEWEST
    after: Place | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs of a list, and where to go on; ``next`` is None at its end.

    A page may be short, even empty, before the end: when a great many jobs had
    to be looked at.
    """

    jobs: Sequence[Job]
    next: Place | None
