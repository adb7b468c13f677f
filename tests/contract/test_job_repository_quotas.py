"""What an organisation may have at once, as every store keeps to it."""

import asyncio

import pytest

from ci_common.accounts import Organisation
from ci_common.artifacts import Artifact
from ci_common.errors import QuotaExceeded
from ci_common.jobs import EndReason, GroupPolicy, JobStatus, Result
from ci_common.quotas import NO_QUOTAS, Quotas
from ci_common.results import Results
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job

NOW = FakeClock().now()
DONE = Result(reason=EndReason.PASSED, exit_code=0)


async def allow(repository, name: str, **most: int | None) -> None:
    """Add an organisation that may have so much."""
    if not isinstance(repository, SQLiteJobRepository):
        given = {what: value for what, value in most.items() if value is not None}
        repository.quotas.most[name] = Quotas(**given)
        return
    columns = {f"max_{what}": value for what, value in most.items()}
    added = Organisation(id=name, name=name, created_at=NOW.wall, **columns)
    await repository.accounts.add_organisation(added)


async def add(repository, organisation: str = "o1", **more):
    job, _ = await repository.add(new_job(organisation=organisation, **more))
    return job


async def claim(repository, job):
    return await repository.claim(job.id, attempt=job.attempt, now=NOW)


async def startable(repository, limit: int = 10) -> list[str]:
    return [job.id for job in await repository.startable(limit=limit, now=NOW.wall)]


async def test_no_more_jobs_run_than_may_and_the_rest_waits_for_its_turn(repository, peer):
    await allow(repository, "o1", running=2)
    first, second, third = [await add(repository) for _ in range(3)]
    assert await startable(repository) == [first.id, second.id]
    assert await claim(repository, second)
    assert await startable(repository) == [first.id]
    assert await claim(peer, first)
    assert await startable(repository) == []
    assert await claim(repository, third) is None
    assert (await repository.get(third.id)).status is JobStatus.QUEUED
    await repository.finish(first.id, attempt=1, result=DONE, now=NOW)
    assert await startable(repository) == [third.id]
    assert await claim(repository, third)


async def test_of_two_that_claim_the_last_place_at_once_one_gets_it(repository, peer):
    await allow(repository, "o1", running=1)
    jobs = [await add(repository) for _ in range(4)]
    claimed = await asyncio.gather(
        *(claim(each, job) for each, job in zip([repository, peer] * 2, jobs, strict=True))
    )
    assert sum(job is not None for job in claimed) == 1


async def test_one_organisation_at_its_limit_does_not_block_others(repository):
    await allow(repository, "o1", running=1)
    blocked = [await add(repository, priority=9) for _ in range(3)]
    assert await claim(repository, blocked[0])
    others = [await add(repository, "o2"), await add(repository, ""), await add(repository, "o2")]
    assert await startable(repository) == [job.id for job in others]
    assert await startable(repository, limit=2) == [job.id for job in others[:2]]


async def test_the_order_is_that_of_the_whole_queue(repository):
    await allow(repository, "o1", running=2)
    names = ["o1", "", "o2", "o1", "o1", "", "o2"]
    jobs = [await add(repository, name) for name in names]
    expected = [job.id for index, job in enumerate(jobs) if index != 4]
    assert await startable(repository) == expected


async def test_those_on_hold_take_no_place_from_others(repository):
    await allow(repository, "o1", running=1)
    held, other = await add(repository), await add(repository)
    assert await claim(repository, held)
    later = NOW.earlier(-60).wall
    await repository.requeue(held.id, attempt=1, charged=True, detail="", hold_until=later)
    assert await startable(repository) == [other.id]


async def test_a_submission_over_the_limit_is_refused_and_nothing_is_kept(repository):
    await allow(repository, "o1", queued=2)
    first = await add(repository, idempotency_key="k", fingerprint="f")
    await add(repository)
    with pytest.raises(QuotaExceeded):
        await add(repository)
    assert (await repository.quotas.usage("o1")).queued == 2
    again, is_new = await repository.add(
        new_job(organisation="o1", idempotency_key="k", fingerprint="f")
    )
    assert (again.id, is_new) == (first.id, False)
    await claim(repository, first)
    await add(repository)
    await add(repository, "o2")


async def test_of_two_that_take_the_last_place_in_the_queue_one_gets_it(repository, peer):
    await allow(repository, "o1", queued=3)
    outcomes = await asyncio.gather(
        *(add(each) for each in [repository, peer] * 4), return_exceptions=True
    )
    assert sum(isinstance(each, QuotaExceeded) for each in outcomes) == 5
    assert (await repository.count()).queued == 3


async def test_what_a_submission_cancels_makes_room_for_it(repository):
    await allow(repository, "o1", queued=1)
    tags = {"group": "g", "group_policy": GroupPolicy.CANCEL_OLDER}
    older = await add(repository, **tags)
    newer = await add(repository, **tags)
    assert (await repository.get(older.id)).status is JobStatus.CANCELLED
    with pytest.raises(QuotaExceeded):
        await add(repository, group="h", group_policy=GroupPolicy.CANCEL_OLDER)
    assert (await repository.get(newer.id)).status is JobStatus.QUEUED


async def test_a_refused_submission_cancels_nothing(repository):
    await allow(repository, "o1", queued=1)
    tags = {"group": "g", "group_policy": GroupPolicy.CANCEL_OLDER}
    older = await add(repository, **tags)
    assert await claim(repository, older)
    await add(repository)
    with pytest.raises(QuotaExceeded):
        await add(repository, **tags)
    assert (await repository.get(older.id)).stop_reason is None


async def test_projects_count_as_long_as_they_are_kept(repository):
    await allow(repository, "o1", project_bytes=100)
    job = await add(repository, zip_size=70)
    with pytest.raises(QuotaExceeded):
        await add(repository, zip_size=31)
    await add(repository, zip_size=30)
    assert (await repository.quotas.usage("o1")).project_bytes == 100
    await claim(repository, job)
    await repository.finish(job.id, attempt=1, result=DONE, now=NOW)
    with pytest.raises(QuotaExceeded):
        await add(repository, zip_size=1)
    await repository.release([job.id])
    assert (await repository.quotas.usage("o1")).project_bytes == 30
    await add(repository, zip_size=70)


async def test_nobodys_jobs_have_no_limits(repository):
    await allow(repository, "", running=1, queued=1, project_bytes=1)
    jobs = [await add(repository, "") for _ in range(3)]
    assert [job for job in jobs if await claim(repository, job)] == jobs
    assert await repository.quotas.quotas([""]) == {"": NO_QUOTAS}


async def test_artifacts_take_room_until_their_job_goes(repository):
    await allow(repository, "o1", artifact_bytes=100)
    job = await add(repository)
    assert await repository.results.artifact_room(job.id) == 100
    await claim(repository, job)
    await repository.finish(job.id, attempt=1, result=DONE, now=NOW, collect=True)
    sizes = (30, 40)
    artifacts = tuple(
        Artifact(path=str(size), size=size, sha256="", modified=0, offset=0) for size in sizes
    )
    await repository.results.record(job.id, Results(artifacts=artifacts))
    other = await add(repository)
    assert await repository.results.artifact_room(other.id) == 30
    assert (await repository.quotas.usage("o1")).artifact_bytes == 70
    await repository.forget([job.id])
    assert await repository.results.artifact_room(other.id) == 100
    assert await repository.results.artifact_room((await add(repository, "o2")).id) is None


async def test_where_an_organisation_says_nothing_the_servers_defaults_hold(tmp_path):
    defaults = Quotas(running=1, queued=2, project_bytes=3, artifact_bytes=4)
    repository = SQLiteJobRepository(tmp_path / "jobs.db", quotas=defaults)
    await repository.initialize()
    try:
        await allow(repository, "o1", queued=0, artifact_bytes=9)
        found = await repository.quotas.quotas(["o1", "o2", ""])
        expected = Quotas(running=1, queued=0, project_bytes=3, artifact_bytes=9)
        assert found == {"o1": expected, "o2": defaults, "": NO_QUOTAS}
        first, second = [await add(repository, zip_size=1) for _ in range(2)]
        assert await startable(repository) == [first.id]
        assert await claim(repository, first)
        assert await claim(repository, second) is None
        assert await claim(repository, await add(repository, ""))
    finally:
        await repository.close()


async def test_packs_count_once_however_many_projects_read_from_them(tmp_path):
    repository = SQLiteJobRepository(tmp_path / "jobs.db")
    await repository.initialize()
    try:
        await allow(repository, "o1", project_bytes=100)
        for pack, size in ((1, 60), (2, 50)):
            await repository.blobs.add_pack(b"s", pack, size, {}, NOW.wall)
        await add(repository, zip_size=10, packs=frozenset({1}))
        await add(repository, zip_size=10, packs=frozenset({1}))
        assert (await repository.quotas.usage("o1")).project_bytes == 80
        with pytest.raises(QuotaExceeded, match="this one 60"):
            await add(repository, zip_size=10, packs=frozenset({1, 2}))
        await add(repository, zip_size=20, packs=frozenset({1}))
    finally:
        await repository.close()
