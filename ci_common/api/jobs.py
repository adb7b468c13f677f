"""A job as HTTP shows it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ci_common.api.results import results_state
from ci_common.clock import format_utc
from ci_common.jobs import Job
from ci_common.results import Counts, Coverage


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One job. Times are UTC in RFC 3339 with a ``Z``; ``position`` is set while it is queued.

    So is ``expected_start``, an estimate, if anybody can tell.
    ``stopping`` is the reason with which a running job is about to end, once
    its stop has been asked for. ``waiting`` says in words what keeps it from
    going on, other than its turn. ``results`` is ``pending``, ``collected``,
    ``none`` or ``lost``; ``tests`` and ``coverage`` come with what was collected.
    ``organisation`` is a name, empty on a server without accounts.
    """

    job_id: str
    status: str
    success: bool | None
    start_time: str | None
    end_time: str | None
    created_at: str
    reason: str | None
    exit_code: int | None
    detail: str | None
    organisation: str = ""
    project: str
    attempt: int
    priority: int
    submitter: str = ""
    labels: Mapping[str, str] = {}
    group: str = ""
    retry_of: str | None = None
    position: int | None = None
    expected_start: str | None = None
    stopping: str | None = None
    waiting: str | None = None
    command: str
    image: str | None = None
    results: str = "none"
    tests: Counts | None = None
    coverage: Coverage | None = None


class JobAccepted(msgspec.Struct, frozen=True):
    """The answer to an asynchronous submit, once the job is durable."""

    job_id: str


def job_view(
    job: Job,
    position: int | None = None,
    waiting: str | None = None,
    expected_start: datetime | None = None,
    *,
    organisation: str = "",
) -> JobView:
    """Return what clients may see of a job; ``organisation`` is the name of its own."""
    return JobView(
        job_id=job.id,
        status=job.status.value,
        success=job.success,
        start_time=format_utc(job.start_time) if job.start_time else None,
        end_time=format_utc(job.end_time) if job.end_time else None,
        created_at=format_utc(job.created_at),
        reason=job.reason.value if job.reason else None,
        exit_code=job.exit_code,
        detail=job.detail,
        organisation=organisation,
        project=job.project,
        attempt=job.attempt,
        priority=job.priority,
        submitter=job.submitter,
        labels=job.labels,
        group=job.group,
        retry_of=job.retry_of,
        position=position,
        expected_start=format_utc(expected_start) if expected_start else None,
        stopping=None if job.stop_reason is None or job.status.ended else job.stop_reason.value,
        waiting=None if job.status.ended else waiting,
        command=job.recipe.command_line,
        image=job.recipe.image,
        results=results_state(job),
        tests=job.tests,
        coverage=job.coverage,
    )
