"""Lists of jobs that are all in memory: what a filter and an order mean, in plain words."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ci_common.forecast import Durations
from ci_common.job_query import JobFilter, JobPage, JobQuery, Place
from ci_common.jobs import EndReason, Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASCII = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def page_of(jobs: Iterable[Job], query: JobQuery) -> JobPage:
    """Return the page of a list."""
    placed = [(key_of(job, query.sort.field), job.seq, job) for job in jobs]
    fitting = [each for each in placed if each[0] is not None and fits(each[2], query.filter)]
    fitting.sort(key=lambda each: each[:2], reverse=query.sort.descending)
    if query.after is not None:
        key = query.after.key
        if key is None:
            before = [each for each in placed if each[1] <= query.after.seq]
            if not before:
                return JobPage([], None)
            key = max(before, key=lambda each: each[1])[0]
        place = (key, query.after.seq)
        fitting = [
            each
            for each in fitting
            if (each[:2] < place if query.sort.descending else each[:2] > place)
        ]
    page = fitting[: query.limit]
    more = len(fitting) > query.limit
    return JobPage([job for _, _, job in page], Place(page[-1][1], page[-1][0]) if more else None)


def key_of(job: Job, field: str) -> int | None:
    """What jobs are compared by, in microseconds; None if a job has none."""
    if field == "created":
        return _microseconds(job.created_at - _EPOCH)
    if job.end_time is None:
        return None
    if field == "ended":
        return _microseconds(job.end_time - _EPOCH)
    return None if job.start_time is None else _microseconds(job.end_time - job.start_time)


def fits(job: Job, asked: JobFilter) -> bool:
    """Whether a job is what is asked for."""
    return (
        (asked.within is None or job.organisation in asked.within)
        and (not asked.statuses or job.status in asked.statuses)
        and (asked.success is None or job.success is asked.success)
        and (not asked.reasons or job.reason in asked.reasons)
        and (not asked.projects or job.project in asked.projects)
        and (not asked.submitters or job.submitter in asked.submitters)
        and (not asked.groups or job.group in asked.groups)
        and all(
            label.name in job.labels and label.value in (None, job.labels[label.name])
            for label in asked.labels
        )
        and (asked.since is None or job.created_at >= asked.since)
        and (asked.until is None or job.created_at < asked.until)
        and all(_contains(job, text.translate(_ASCII)) for text in asked.texts)
    )


def durations_of(
    jobs: Iterable[Job], projects: Iterable[tuple[str, str]], latest: int
) -> Durations:
    """How long the latest jobs took, by organisation and project."""
    measured = [job for job in jobs if job.reason in (EndReason.PASSED, EndReason.FAILED)]
    measured.sort(key=lambda job: (job.end_time, job.seq), reverse=True)
    found: dict[tuple[str, str | None], list[float]] = {}
    asked = set(projects)
    for organisation, project in {*asked, *((each, None) for each, _ in asked)}:
        its = [job for job in measured if job.organisation == organisation]
        own = [job for job in its if project in (None, job.project)][:latest]
        taken = [(job.end_time - job.start_time).total_seconds() for job in own]
        if kept := [seconds for seconds in taken if seconds >= 0]:
            found[organisation, project] = kept
    return found


def _contains(job: Job, text: str) -> bool:
    command = job.recipe.command
    places = [
        job.project,
        job.submitter,
        job.detail or "",
        command if isinstance(command, str) else " ".join(command),
        *(f"{name}={value}" for name, value in job.labels.items()),
    ]
    found = any(text in place.translate(_ASCII) for place in places)
    return found or job.id.startswith(text)


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
