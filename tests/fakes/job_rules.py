"""What holds of jobs in memory, whoever keeps them."""

from datetime import datetime, timedelta

from ci_common.clock import Moment
from ci_common.job_totals import Distribution
from ci_common.jobs import Job, JobStatus, NewJob

LONGEST_HOLD = timedelta(minutes=10)


def queued_job(new: NewJob, seq: int) -> Job:
    """Return the job that a submission becomes."""
    return Job(
        id=new.id,
        seq=seq,
        status=JobStatus.QUEUED,
        recipe=new.recipe,
        created_at=new.created.wall,
        zip_path=new.zip_path,
        zip_size=new.zip_size,
        zip_sha256=new.zip_sha256,
        organisation=new.organisation,
        project=new.project,
        priority=new.priority,
        submitter=new.submitter,
        labels=new.labels,
        group=new.group,
        group_policy=new.group_policy,
        queue_timeout=new.queue_timeout,
        retry_of=new.retry_of,
        tree_sha256=new.tree_sha256,
        max_attempts=new.max_attempts,
        traceparent=new.traceparent,
    )


def group_of(job: Job | NewJob) -> tuple[str, str, str]:
    """Return what two jobs of one concurrency group have in common."""
    return (job.organisation, job.project, job.group)


def is_earlier(moment: Moment, before: Moment) -> bool:
    """Return whether a moment is earlier by both clocks, where both can be compared."""
    same_boot = moment.boot_id == before.boot_id
    return moment.wall < before.wall and not (same_boot and moment.uptime >= before.uptime)


def on_hold(job: Job, now: datetime) -> bool:
    """Return whether a job waits for its backoff."""
    # A hold further away than any backoff is left from a clock that was set back.
    return job.hold_until is not None and now < job.hold_until <= now + LONGEST_HOLD


def distribution(values: list[float]) -> Distribution:
    """Return the distribution of some seconds."""
    # One bucket is enough: where the bounds are is each store's own affair.
    return Distribution(buckets=((float("inf"), len(values)),), sum=sum(values))
