"""What one organisation asks for: jobs of others are not there for it."""

import pytest

from ci_common.errors import AmbiguousJob, IdempotencyConflict, JobNotFound
from ci_common.job_query import JobFilter, JobQuery, JobSort
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, GroupPolicy, JobStatus, QueueCounts, Result
from tests.contract.job_states import NOW, ended, ids, queued, running

OURS, BOTH = frozenset({"ours"}), frozenset({"ours", "theirs"})


def asked(within: frozenset[str] | None, **others) -> JobQuery:
    return JobQuery(filter=JobFilter(within=within), **others)


@pytest.mark.parametrize("sort", JobSort)
async def test_a_list_is_that_of_the_organisations(repository: JobRepository, sort):
    jobs = {
        name: await ended(repository, organisation=name) for name in ("ours", "theirs", "third", "")
    }
    for within, expected in (
        (OURS, {"ours"}),
        (BOTH, {"ours", "theirs"}),
        (frozenset(), set()),
        (None, set(jobs)),
    ):
        page = await repository.list_jobs(asked(within, sort=sort))
        assert {job.organisation for job in page.jobs} == expected
        assert page.next is None


async def test_pages_of_two_organisations_are_one_list(repository: JobRepository):
    jobs = [await queued(repository, organisation=name) for name in ("ours", "theirs", "") * 5]
    expected = [job.id for job in reversed(jobs) if job.organisation]
    query, found = asked(BOTH, limit=3), []
    while query is not None:
        page = await repository.list_jobs(query)
        found += ids(page.jobs)
        query = page.next and asked(BOTH, limit=3, after=page.next)
    assert found == expected


async def test_a_reference_reaches_only_what_is_the_organisations(repository: JobRepository):
    mine = await queued(repository, id="aaaa1111-0000", organisation="ours")
    theirs = await queued(repository, id="aaaa2222-0000", organisation="theirs")
    for reference in ("aaaa", mine.id, "last"):
        assert await repository.find(reference, within=OURS) == mine
    for reference in (theirs.id, "aaaa2"):
        with pytest.raises(JobNotFound):
            await repository.find(reference, within=OURS)
    with pytest.raises(AmbiguousJob):
        await repository.find("aaaa", within=BOTH)
    for reference in ("last", mine.id):
        with pytest.raises(JobNotFound):
            await repository.find(reference, within=frozenset())


async def test_the_queue_is_counted_and_shown_by_organisation(repository: JobRepository):
    jobs = [await queued(repository, organisation=name) for name in ("theirs", "ours", "") * 2]
    await running(repository, organisation="theirs", priority=9)
    mine = [jobs[1].id, jobs[4].id]
    assert ids(await repository.queued(limit=9, within=OURS)) == mine
    assert ids(await repository.queued(limit=1, skip=1, within=OURS)) == mine[1:]
    assert ids(await repository.queued(limit=2, skip=1, within=BOTH)) == [jobs[1].id, jobs[3].id]
    assert await repository.count(OURS) == QueueCounts(queued=2, running=0)
    assert await repository.count(BOTH) == QueueCounts(queued=4, running=1)
    assert await repository.count() == QueueCounts(queued=6, running=1)


async def test_places_count_all_that_wait(repository: JobRepository):
    jobs = [await queued(repository, organisation=name) for name in ("theirs", "ours", "ours")]
    busy = await running(repository, priority=9)
    places = await repository.queue_positions([jobs[1].id, jobs[2].id, busy.id, "nothing"])
    assert places == {jobs[1].id: 2, jobs[2].id: 3}


async def test_what_jobs_took_is_by_organisation(repository: JobRepository):
    async def took(seconds: float, organisation: str, project: str) -> None:
        job = await running(repository, organisation=organisation, project=project)
        result = Result(reason=EndReason.PASSED)
        await repository.finish(job.id, attempt=1, result=result, now=NOW.earlier(-seconds))

    await took(1, "ours", "p")
    await took(2, "ours", "q")
    await took(3, "theirs", "p")
    await took(4, "", "p")
    found = await repository.durations([("ours", "p"), ("ours", "new"), ("", "p")], latest=9)
    assert {key: sorted(value) for key, value in found.items()} == {
        ("ours", "p"): [1.0],
        ("ours", None): [1.0, 2.0],
        ("", "p"): [4.0],
        ("", None): [4.0],
    }


async def test_a_key_is_one_organisations(repository: JobRepository):
    first = await queued(repository, organisation="ours", idempotency_key="k", fingerprint="f")
    other = await queued(repository, organisation="theirs", idempotency_key="k", fingerprint="g")
    again = await queued(repository, organisation="ours", idempotency_key="k", fingerprint="f")
    assert (again.id == first.id, other.id != first.id) == (True, True)
    with pytest.raises(IdempotencyConflict):
        await queued(repository, organisation="ours", idempotency_key="k", fingerprint="g")


@pytest.mark.parametrize("policy", GroupPolicy)
async def test_a_group_is_one_organisations(repository: JobRepository, policy):
    tags = {"project": "p", "group": "g", "group_policy": policy}
    theirs = await queued(repository, organisation="theirs", **tags)
    mine = await queued(repository, organisation="ours", **tags)
    both = await repository.startable(limit=9, now=NOW.wall)
    assert ids(both) == [theirs.id, mine.id]
    assert (await repository.get(theirs.id)).status is JobStatus.QUEUED


async def test_organisations_take_turns_however_many_submitters_they_have(repository):
    """Of thirty people with two jobs each, and one person: every second job is that one's."""
    for _ in range(2):
        for number in range(30):
            await queued(repository, organisation="large", submitter=f"s{number:02}")
    for _ in range(5):
        await queued(repository, organisation="small", submitter="one")
    first = await repository.startable(limit=11, now=NOW.wall)
    turns = [job.organisation for job in first]
    assert turns == ["large", "small"] * 5 + ["large"]
    of_large = [job.submitter for job in first if job.organisation == "large"]
    assert of_large == [f"s{number:02}" for number in range(6)]


async def test_submitters_of_an_organisation_take_turns(repository):
    for submitter in ("ann", "ann", "ann", "bob", "bob"):
        await queued(repository, organisation="ours", submitter=submitter)
    order = [job.submitter for job in await repository.startable(limit=9, now=NOW.wall)]
    assert order == ["ann", "ann", "bob", "ann", "bob"]


async def test_without_organisations_each_submitter_has_a_share(repository):
    for submitter in ("ann", "ann", "bob", "cid"):
        await queued(repository, submitter=submitter)
    order = [job.submitter for job in await repository.startable(limit=9, now=NOW.wall)]
    assert order == ["ann", "bob", "cid", "ann"]
