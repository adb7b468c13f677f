"""What one organisation asks costs the same however much the others have: counted, never timed."""

import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci_common.job_events import EventFilter
from ci_common.job_query import JobFilter, JobQuery, JobSort
from ci_common.jobs import JobStatus
from ci_persistence.job_query import list_jobs
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import new_job
from tests.fakes.sqlite_watch import watched

OURS, BOTH = frozenset({"ours"}), frozenset({"ours", "also ours"})

_FILL = """
INSERT INTO jobs (id, organisation, status, project, priority, recipe, created_wall,
    created_uptime, created_boot, zip_path, zip_size, zip_sha256, fingerprint, attempt,
    max_attempts, started_wall, ended_wall, reason, rank)
VALUES (:id, 'theirs', :status, 'demo', 0, '{}', :n, 0, '', 'a.zip', 1, '', '', 1, 3,
    :n, :ended, :reason, :n)
"""


def fill(path: Path, count: int) -> None:
    """Store ``count`` jobs of somebody else's that have ended, and as many that wait."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for n in range(count):
            done = {"status": "completed", "n": n, "ended": 2 * n, "reason": "passed"}
            waiting = {"status": "queued", "n": n, "ended": None, "reason": None}
            ids = ({"id": str(uuid.uuid4())} for _ in range(2))
            connection.executemany(_FILL, [each | next(ids) for each in (done, waiting)])


def listing(within: frozenset[str], sort: JobSort = JobSort.NEWEST, **asked: Any) -> JobQuery:
    return JobQuery(filter=JobFilter(within=within, **asked), sort=sort, limit=3)


LISTS = [
    *(listing(within, sort) for sort in JobSort for within in (OURS, BOTH)),
    listing(OURS, statuses=frozenset({JobStatus.QUEUED})),
    listing(OURS, projects=frozenset({"demo"})),
    listing(OURS, submitters=frozenset({"ann"})),
    listing(OURS, texts=frozenset({"nowhere"})),
]

QUESTIONS: dict[str, Callable[[SQLiteJobRepository], Awaitable[object]]] = {
    **{
        f"list {number}": lambda repository, asked=asked: repository.list_jobs(asked)
        for number, asked in enumerate(LISTS)
    },
    "last": lambda repository: repository.find("last", within=OURS),
    "queued": lambda repository: repository.queued(limit=3, within=OURS),
    "queued, of several": lambda repository: repository.queued(limit=3, within=BOTH),
    "count": lambda repository: repository.count(BOTH),
    "durations": lambda repository: repository.durations([("ours", "demo")], latest=5),
    "events": lambda repository: repository.events.after(
        0, limit=3, wanted=EventFilter(within=OURS)
    ),
    "events, of several": lambda repository: repository.events.after(
        0, limit=3, wanted=EventFilter(within=BOTH)
    ),
}


async def test_others_cost_nothing(path, repository):
    for organisation in ("ours", "also ours") * 3:
        job = new_job(organisation=organisation, project="demo", submitter="ann")
        await repository.add(job)

    async def steps() -> dict[str, int]:
        found = {}
        for name, question in QUESTIONS.items():
            async with watched(repository) as watch:
                await question(repository)
            found[name] = watch.steps
        return found

    fill(path, 20)
    with_few = await steps()
    fill(path, 2000)
    assert await steps() == with_few


async def test_a_submission_costs_the_same_however_many_wait(path, repository):
    async def steps() -> int:
        async with watched(repository) as watch:
            await repository.add(new_job(organisation="ours", submitter="ann"))
        return watch.steps

    await steps()
    fill(path, 20)
    with_few = await steps()
    fill(path, 2000)
    assert await steps() == with_few
    for _ in range(50):
        await steps()
    assert await steps() == with_few


@pytest.mark.parametrize("sort", [JobSort.NEWEST, JobSort.OLDEST])
async def test_a_page_goes_as_far_as_the_shortest_of_its_walks(repository, sort):
    """One organisation's window is over long before the other's: nothing is left out for it."""
    wanted = 0
    for number in range(24):
        for organisation, gap, hit in (("ours", 1, 3), ("also ours", 4, 8)):
            if number % gap == 0:
                project = "other" if number % hit else "wanted"
                wanted += project == "wanted"
                await repository.add(new_job(organisation=organisation, project=project))
    asked = JobFilter(within=BOTH, texts=frozenset({"wanted"}))
    query, found = JobQuery(filter=asked, sort=sort, limit=2), []
    while True:
        page = await list_jobs(repository._database, query, window=2)
        found += [job.seq for job in page.jobs]
        if page.next is None:
            break
        query = replace(query, after=page.next)
    assert found == sorted(found, reverse=sort.descending)
    assert len(found) == wanted
