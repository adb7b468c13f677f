"""What a job left behind, as HTTP shows it."""

from collections.abc import Sequence

import msgspec

from ci_common.artifacts import Artifact
from ci_common.clock import format_utc
from ci_common.jobs import Job
from ci_common.results import (
    Case,
    Counts,
    Coverage,
    FlakyTest,
    LeftOut,
    PastCase,
    ResultsState,
)


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was kept. ``modified`` is in seconds since 1970."""

    path: str
    size: int
    sha256: str
    modified: int
    executable: bool


class ArtifactsView(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a job, by path. ``state``: pending, collected, none or lost.

    ``left_out`` names some of ``left_out_count`` files that were not kept, or reports
    that were not read; for lost results, why.
    """

    job_id: str
    state: str
    size: int
    files: Sequence[ArtifactView]
    left_out: Sequence[LeftOut]
    left_out_count: int


class CasesView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a job's tests; ``counts`` are of all of them. ``state`` as for artifacts."""

    job_id: str
    state: str
    counts: Counts | None
    tests: Sequence[Case]


class CoverageView(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the code a job's tests ran. ``state`` as for artifacts."""

    job_id: str
    state: str
    coverage: Coverage | None


class PastCaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A test in one of the jobs that it ran in. ``ended_at`` is UTC in RFC 3339."""

    job_id: str
    project: str
    ended_at: str
    outcome: str
    duration: float
    message: str
    tree_sha256: str | None
    image_id: str | None


class HistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a test's past, the newest job first."""

    test: str
    runs: Sequence[PastCaseView]


class FlakyView(msgspec.Struct, frozen=True, kw_only=True):
    """Tests with different outcomes on equal files in the same image."""

    tests: Sequence[FlakyTest]


def results_state(job: Job) -> str:
    """Return where a job's results are; before its end they are pending, if there may be some."""
    if not job.status.ended and job.recipe.leaves_results:
        return ResultsState.PENDING.value
    return job.results.value


def artifacts_view(
    job: Job, files: Sequence[Artifact], left_out: tuple[Sequence[LeftOut], int]
) -> ArtifactsView:
    """Return what clients may see of a job's artifacts."""
    views = [
        ArtifactView(
            path=file.path,
            size=file.size,
            sha256=file.sha256,
            modified=file.modified,
            executable=file.executable,
        )
        for file in files
    ]
    return ArtifactsView(
        job_id=job.id,
        state=results_state(job),
        size=sum(file.size for file in files),
        files=views,
        left_out=left_out[0],
        left_out_count=left_out[1],
    )


def past_case_view(past: PastCase) -> PastCaseView:
    """Return what clients may see of a test's past."""
    return PastCaseView(
        job_id=past.job_id,
        project=past.project,
        ended_at=format_utc(past.ended_at),
        outcome=past.outcome.value,
        duration=past.duration,
        message=past.message,
        tree_sha256=past.tree_sha256,
        image_id=past.image_id,
    )
