"""What is done often costs the same however many jobs have ended: counted, never timed."""

import itertools
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from ci_common.job_query import JobFilter, JobPage, JobQuery, JobSort, LabelFilter, Place
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job, JobStatus, Result
from ci_persistence.job_query import list_jobs
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job
from tests.fakes.sqlite_watch import watched
from tests.unit.persistence.filling import fill_with_ended_jobs

NOW = FakeClock().now()
FEW = 1_000
MANY = 100_000
NUMBERS = itertools.count()


async def add(repository: JobRepository) -> Job:
    # Groups in ascending order, so that each is looked for in the same number of steps.
    group = f"g{next(NUMBERS):09}"
    key = str(uuid.uuid4())
    job, _ = await repository.add(new_job(idempotency_key=key, group=group, queue_timeout=60.0))
    return job


async def start(repository: JobRepository) -> Job:
    job = await add(repository)
    claimed = await repository.claim(job.id, attempt=0, now=NOW)
    assert claimed is not None
    return claimed


def page(sort: JobSort = JobSort.NEWEST, after: Place | None = None, **asked: Any) -> JobQuery:
    return JobQuery(filter=JobFilter(**asked), sort=sort, after=after, limit=20)


LISTS: dict[str, Callable[[Job], JobQuery]] = {
    "newest": lambda _: page(),
    "further down": lambda busy: page(after=Place(busy.seq // 2, 0)),
    "further down, as the first version asked": lambda busy: page(after=Place(busy.seq // 2, None)),
    "of a while": lambda _: page(since=NOW.wall - timedelta(days=1), until=NOW.wall),
    "before there were any": lambda _: page(until=NOW.wall - timedelta(days=365 * 60)),
    "of a project": lambda _: page(projects=frozenset({"demo"})),
    "of another project": lambda _: page(projects=frozenset({"other"})),
    "of a submitter": lambda _: page(submitters=frozenset({"ann"})),
    "of a group": lambda _: page(groups=frozenset({"g"})),
    "with a label": lambda _: page(labels=frozenset({LabelFilter("branch", "main")})),
    "that have not ended": lambda _: page(statuses=frozenset({JobStatus.QUEUED})),
    "that did not pass": lambda _: page(success=False),
    "last ended": lambda _: page(JobSort.ENDED_LAST),
    "further down by end": lambda busy: page(JobSort.ENDED_FIRST, Place(busy.seq // 2, 0)),
    "longest": lambda _: page(JobSort.LONGEST),
    "shortest": lambda _: page(JobSort.SHORTEST),
}


Operation = Callable[[JobRepository, Job, Job], Awaitable[object]]
"""Called with a repository, a queued and a running job."""

OPERATIONS: dict[str, Operation] = {
    "add": lambda repository, _, __: add(repository),
    "get": lambda repository, waiting, _: repository.get(waiting.id),
    "find by prefix": lambda repository, waiting, _: repository.find(waiting.id[:13]),
    "find the last": lambda repository, _, __: repository.find("last"),
    "get_many": lambda repository, waiting, busy: repository.get_many([waiting.id, busy.id]),
    "list_recent": lambda repository, _, __: repository.list_recent(limit=20),
    "list_recent, further down": lambda repository, _, busy: repository.list_recent(
        limit=20, before=busy.seq // 2
    ),
    **{
        f"list_jobs, {name}": lambda repository, _, busy, asked=asked: repository.list_jobs(
            asked(busy)
        )
        for name, asked in LISTS.items()
    },
    "queued": lambda repository, _, __: repository.queued(limit=5),
    "durations": lambda repository, _, __: repository.durations(
        [("", "demo"), ("", "other")], latest=5
    ),
    "startable": lambda repository, _, __: repository.startable(limit=5, now=NOW.wall),
    "overdue": lambda repository, _, __: repository.overdue(limit=5, now=NOW),
    "expire": lambda repository, waiting, _: repository.expire(waiting.id, detail="", now=NOW),
    "running": lambda repository, _, __: repository.running(),
    "queue_position": lambda repository, waiting, _: repository.queue_position(waiting.id),
    "count": lambda repository, _, __: repository.count(),
    "claim": lambda repository, waiting, _: repository.claim(waiting.id, attempt=0, now=NOW),
    "record_container": lambda repository, _, busy: repository.record_container(
        busy.id, attempt=1, container="c", log_base=0
    ),
    "record_fed": lambda repository, _, busy: repository.record_fed(busy.id, attempt=1),
    "record_stop": lambda repository, _, busy: repository.record_stop(
        busy.id, attempt=1, reason=EndReason.TIMED_OUT
    ),
    "requeue": lambda repository, _, busy: repository.requeue(
        busy.id, attempt=1, charged=True, detail="", hold_until=NOW.wall + timedelta(seconds=1)
    ),
    "finish": lambda repository, _, busy: repository.finish(
        busy.id, attempt=1, result=Result(reason=EndReason.PASSED, exit_code=0), now=NOW
    ),
    "oldest_ended": lambda repository, _, __: repository.oldest_ended(limit=10, before=NOW),
    "oldest_stashed": lambda repository, _, __: repository.oldest_stashed(limit=10, before=NOW),
    "release": lambda repository, waiting, busy: repository.release([waiting.id, busy.id]),
    "packs_of": lambda repository, waiting, _: repository.packs_of(waiting.id),
    "forget": lambda repository, waiting, busy: repository.forget([waiting.id, busy.id]),
}


async def steps_of_each(repository: SQLiteJobRepository) -> dict[str, int]:
    """Return what each operation costs, beside a few jobs that have not ended."""
    steps = {}
    for name, operation in OPERATIONS.items():
        waiting, busy = await add(repository), await start(repository)
        async with watched(repository) as watch:
            await operation(repository, waiting, busy)
        steps[name] = watch.steps
        await end_all(repository)
    return steps


async def end_all(repository: SQLiteJobRepository) -> None:
    for job in await repository.startable(limit=10, now=NOW.wall + timedelta(minutes=1)):
        await repository.claim(job.id, attempt=job.attempt, now=NOW)
    for job in await repository.running():
        result = Result(reason=EndReason.FAILED, exit_code=1)
        await repository.finish(job.id, attempt=job.attempt, result=result, now=NOW)


async def test_no_operation_costs_more_when_more_jobs_have_ended(path, repository):
    fill_with_ended_jobs(path, FEW)
    with_few = await steps_of_each(repository)
    fill_with_ended_jobs(path, MANY - FEW)
    with_many = await steps_of_each(repository)
    assert all(steps > 0 for steps in with_few.values())
    assert with_many == with_few


def is_flat(step: str) -> bool:
    """Whether a step of a query plan reads only what it is looking for."""
    if step.startswith("SEARCH"):
        return True
    # These indexes hold jobs that have not ended, and nothing else.
    partial = (
        "jobs_queued",
        "jobs_running",
        "jobs_unended",
        "jobs_startable",
        "jobs_waiting",
        "jobs_deadline",
    )
    # These are walked along in the order of a list, as far as the page goes.
    ordered = (
        "jobs_created",
        "jobs_unsuccessful",
        "jobs_ended",
        "jobs_duration",
        "jobs_measured_last",
    )
    if step.startswith("SCAN"):
        given = "VIRTUAL TABLE" in step or "CONSTANT ROW" in step
        return given or step.endswith((*partial, *ordered))
    return "TEMP B-TREE" not in step


# What can start is sorted, as many of each organisation as may: that it is no more is counted
# above and in test_tick_cost.py.
@pytest.mark.parametrize("name", sorted({*OPERATIONS} - {"startable"}))
async def test_every_statement_goes_by_an_index(path, repository, name):
    fill_with_ended_jobs(path, 50)
    waiting, busy = await add(repository), await start(repository)
    async with watched(repository) as watch:
        await OPERATIONS[name](repository, waiting, busy)

    statements = [
        s for s in watch.statements if s.startswith(("SELECT", "UPDATE", "INSERT", "DELETE"))
    ]
    assert statements
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert all(map(is_flat, plan)), (statement, plan)


async def test_what_starts_next_costs_the_same_with_a_long_queue(repository):
    async def steps() -> int:
        async with watched(repository) as watch:
            assert len(await repository.startable(limit=5, now=NOW.wall)) == 5
        return watch.steps

    for _ in range(10):
        await add(repository)
    with_ten = await steps()
    for _ in range(500):
        await add(repository)
    assert await steps() == with_ten


async def test_a_page_of_hardly_anything_looks_at_a_window_and_goes_on_from_there(path, repository):
    """A word that no job has must not hold up everybody else while a million are searched."""
    query = page(texts=frozenset({"nowhere"}))

    async def steps_of_a_page() -> tuple[int, JobPage]:
        async with watched(repository) as watch:
            found = await list_jobs(repository._database, query, window=100)
        return watch.steps, found

    fill_with_ended_jobs(path, 300)
    with_few, _ = await steps_of_a_page()
    fill_with_ended_jobs(path, 3000)
    with_many, found = await steps_of_a_page()
    assert with_many == with_few
    assert (found.jobs, found.next) == ([], Place(3201, 3200))
