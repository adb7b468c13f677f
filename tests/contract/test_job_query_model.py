"""Any list is the same from SQLite as from the few lines in memory, page by page."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.clock import Moment
from ci_common.forecast import Durations
from ci_common.job_query import JobFilter, JobQuery, JobSort, LabelFilter
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job, JobStatus, NewJob, Result
from ci_common.recipe import Recipe
from ci_persistence.job_query import list_jobs
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.job_query import durations_of
from tests.fakes.repository import InMemoryJobRepository, new_job

NOW = FakeClock().now()
NAMES = ["", "a", "A%_b", "ünï", "x\\"]
PROJECTS = [("", "a"), ("", ""), ("one", "a"), ("two", "x\\")]
WITHINS = [None, frozenset[str](), frozenset({"one"}), frozenset({"one", "two", "none"})]
REASONS = [EndReason.PASSED, EndReason.FAILED, EndReason.CANCELLED, EndReason.INFRA_ERROR]


def at(seconds: float) -> Moment:
    return NOW.earlier(-seconds)


names = st.sampled_from(NAMES)
label_sets = st.dictionaries(st.sampled_from(["branch", "B%"]), names, max_size=2)
times = st.integers(-2, 2)

submissions = st.builds(
    lambda number, at_, **tags: (number, at_, tags),
    st.integers(0, 10**9),
    times,
    organisation=st.sampled_from(["", "one", "two"]),
    project=names,
    submitter=names,
    group=names,
    labels=label_sets,
    recipe=st.sampled_from(
        [Recipe(), Recipe(command="echo 100%; true"), Recipe(command=("run", "It's"))]
    ),
)
# None: still queued; otherwise when it started, and unless it runs, how and when it ended.
lives = st.none() | st.tuples(times, st.none() | st.tuples(st.sampled_from(REASONS), times, names))

filters = st.builds(
    JobFilter,
    statuses=st.frozensets(st.sampled_from(JobStatus), max_size=2),
    success=st.sampled_from([None, None, True, False]),
    reasons=st.frozensets(st.sampled_from(REASONS), max_size=1),
    within=st.none() | st.frozensets(st.sampled_from(["one", "two", "none"]), max_size=2),
    projects=st.frozensets(names, max_size=2),
    submitters=st.frozensets(names, max_size=1),
    groups=st.frozensets(names, max_size=1),
    labels=st.frozensets(
        st.builds(LabelFilter, st.sampled_from(["branch", "B%"]), st.none() | names), max_size=2
    ),
    since=st.none() | times.map(lambda s: NOW.wall + timedelta(seconds=s)),
    until=st.none() | times.map(lambda s: NOW.wall + timedelta(seconds=s)),
    texts=st.frozensets(
        st.sampled_from(["a", "%", "_", "\\", "Ü", "ü", "ch=", "T'S", "100%;", "n I", "0000"]),
        max_size=1,
    ),
)
# Most filters that are drawn whole fit nothing; those that ask one thing fit something.
single = st.sampled_from(list(JobFilter.__dataclass_fields__)).flatmap(
    lambda name: filters.map(lambda asked: JobFilter(**{name: getattr(asked, name)}))
)
queries = st.builds(
    JobQuery, filter=single | filters, sort=st.sampled_from(JobSort), limit=st.integers(1, 3)
)


def submission(number: int, seconds: float, tags: dict[str, Any]) -> NewJob:
    return new_job(id=f"{number:010}-0000-4000", created=at(seconds), **tags)


async def live(repository: JobRepository, history: Sequence[Any]) -> None:
    for (number, created, tags), life in history:
        job, _ = await repository.add(submission(number, created, tags))
        if life is None:
            continue
        started, end = life
        assert await repository.claim(job.id, attempt=0, now=at(started))
        if end is not None:
            reason, ended, detail = end
            result = Result(reason=reason, detail=detail)
            assert await repository.finish(job.id, attempt=1, result=result, now=at(ended))


def in_order(durations: Durations) -> dict[tuple[str, str | None], list[float]]:
    return {project: sorted(taken) for project, taken in durations.items()}


async def pages(repository: JobRepository, query: JobQuery, window: int | None) -> list[Job]:
    found: list[Job] = []
    while True:
        if window is None or not isinstance(repository, SQLiteJobRepository):
            page = await repository.list_jobs(query)
        else:
            page = await list_jobs(repository._database, query, window=window)
        assert len(page.jobs) <= query.limit
        found += page.jobs
        assert len({job.id for job in found}) == len(found)
        if page.next is None:
            return found
        query = JobQuery(filter=query.filter, sort=query.sort, limit=query.limit, after=page.next)


async def compare(history: Sequence[Any], asked: Sequence[JobQuery], folder: Path) -> None:
    model, repository = InMemoryJobRepository(folder), SQLiteJobRepository(folder / "jobs.db")
    await repository.initialize()
    try:
        await live(model, history)
        await live(repository, history)
        for query in asked:
            expected = await pages(model, query, None)
            assert await pages(repository, query, None) == expected
            assert await pages(repository, query, 1) == expected
            assert len({job.id for job in expected}) == len(expected)
        for within in WITHINS:
            expected = await model.queued(limit=3, skip=1, within=within)
            assert await repository.queued(limit=3, skip=1, within=within) == expected
            assert await repository.count(within) == await model.count(within)
        everything = [job.id for job in model._jobs.values()]
        expected = await model.queue_positions(everything)
        assert await repository.queue_positions(everything) == expected
        taken = durations_of(model._jobs.values(), PROJECTS, 2)
        assert in_order(await repository.durations(PROJECTS, latest=2)) == in_order(taken)
    finally:
        await repository.close()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(submissions, lives), max_size=8, unique_by=lambda each: each[0][0]),
    st.lists(queries, min_size=4, max_size=8),
)
def test_any_list_is_answered_alike(history, asked):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(history, asked, Path(folder)))


changes = st.lists(
    st.sampled_from(["add older", "add newer", "remove shown", "claim"]), max_size=12
)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([JobSort.NEWEST, JobSort.OLDEST]), st.integers(1, 3), changes)
def test_who_pages_sees_what_was_there_all_along_once(sort, limit, happening):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(page_while(Path(folder), sort, limit, happening))


async def page_while(folder: Path, sort: JobSort, limit: int, happening: list[str]) -> None:
    """Go from page to page while jobs come, go and change."""
    repository = SQLiteJobRepository(folder / "jobs.db")
    await repository.initialize()
    try:
        jobs = [(await repository.add(new_job(created=at(n // 2))))[0] for n in range(9)]
        stayed = {job.id for job in jobs}
        seen: list[str] = []
        query: JobQuery | None = JobQuery(sort=sort, limit=limit)
        while query is not None:
            page = await repository.list_jobs(query)
            seen += [job.id for job in page.jobs]
            if happening:
                stayed -= await happen(repository, happening.pop(), page.jobs)
            query = JobQuery(sort=sort, limit=limit, after=page.next) if page.next else None
        assert len(set(seen)) == len(seen)
        assert stayed <= set(seen)
    finally:
        await repository.close()


async def happen(repository: JobRepository, what: str, shown: Sequence[Job]) -> set[str]:
    """Have something happen; return the ids of those that are gone."""
    if what.startswith("add"):
        await repository.add(new_job(created=at(-5 if what == "add older" else 50)))
    elif what == "claim":
        await repository.claim(shown[-1].id, attempt=0, now=NOW)
    else:
        # The very job that the next page begins behind.
        await repository.cancel(shown[-1].id, now=NOW)
        return {shown[-1].id} if await repository.forget([shown[-1].id]) else set()
    return set()
