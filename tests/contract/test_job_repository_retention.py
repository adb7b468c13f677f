"""Ended jobs that are removed: which are the oldest, and what is left of one that is gone."""

import pytest

from ci_common.errors import JobNotFound
from tests.contract.job_states import PASSED, ended, ids, queued, running
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job


@pytest.fixture
def clock():
    return FakeClock()


async def ended_at(repository, clock, **overrides):
    job = await running(repository, **overrides)
    assert await repository.finish(job.id, attempt=1, result=PASSED, now=clock.now())
    return job


async def oldest(repository, before, limit=10):
    return ids(await repository.oldest_ended(limit=limit, before=before))


async def test_the_oldest_end_comes_first_whatever_the_order_of_submission(repository, clock):
    first, second, third = [await running(repository) for _ in range(3)]
    for job in (second, third, first):
        clock.advance(60)
        await repository.finish(job.id, attempt=1, result=PASSED, now=clock.now())
    clock.advance(1)
    expected = [second.id, third.id, first.id]
    assert await oldest(repository, clock.now()) == expected
    assert await oldest(repository, clock.now(), limit=2) == expected[:2]


async def test_only_what_ended_before_that_moment_is_old(repository, clock):
    early = await ended_at(repository, clock)
    clock.advance(100)
    await ended_at(repository, clock)
    clock.advance(50)
    assert await oldest(repository, clock.now().earlier(60)) == [early.id]
    assert await oldest(repository, clock.now().earlier(150)) == []
    assert await oldest(repository, clock.now().earlier(200)) == []


async def test_what_waits_or_runs_is_never_old(repository, clock):
    await queued(repository)
    await running(repository)
    clock.advance(1e6)
    assert await oldest(repository, clock.now()) == []


async def test_a_clock_set_forward_makes_nothing_older(repository, clock):
    job = await ended_at(repository, clock)
    clock.jump_wall(1e6)
    assert await oldest(repository, clock.now().earlier(60)) == []
    clock.advance(61)
    assert await oldest(repository, clock.now().earlier(60)) == [job.id]


async def test_after_a_reboot_the_wall_clock_decides(repository, clock):
    job = await ended_at(repository, clock)
    clock.reboot()
    clock.jump_wall(61)
    assert await oldest(repository, clock.now().earlier(60)) == [job.id]


async def test_a_forgotten_job_is_gone_for_every_process(repository, peer, clock):
    job, kept = await ended_at(repository, clock), await ended_at(repository, clock)
    assert await repository.forget([job.id]) == 1
    with pytest.raises(JobNotFound):
        await peer.get(job.id)
    with pytest.raises(JobNotFound):
        await peer.find(job.id[:8])
    assert ids(await peer.list_recent(limit=10)) == [kept.id]
    assert await peer.get_many([job.id]) == []
    assert await repository.forget([job.id]) == 0


async def test_what_has_not_ended_is_not_forgotten(repository):
    waits, runs = await queued(repository), await running(repository)
    assert await repository.forget([waits.id, runs.id, "no-such-job"]) == 0
    assert {job.id for job in await repository.get_many([waits.id, runs.id])} == {waits.id, runs.id}


async def test_a_seq_is_never_used_again(repository, clock):
    newest = await ended_at(repository, clock)
    await repository.forget([newest.id])
    assert (await queued(repository)).seq > newest.seq


async def test_pages_go_on_where_they_were(repository, clock):
    jobs = [await ended_at(repository, clock) for _ in range(6)]
    page = await repository.list_recent(limit=2)
    await repository.forget([jobs[4].id, jobs[3].id])
    rest = await repository.list_recent(limit=10, before=page[-1].seq)
    assert ids(page) == [jobs[5].id, jobs[4].id]
    assert ids(rest) == [jobs[2].id, jobs[1].id, jobs[0].id]


async def test_last_is_the_newest_of_those_that_are_left(repository, clock):
    older, newest = await ended_at(repository, clock), await ended_at(repository, clock)
    await repository.forget([newest.id])
    assert (await repository.find("last")).id == older.id
    await repository.forget([older.id])
    with pytest.raises(JobNotFound):
        await repository.find("last")


async def test_the_key_of_a_forgotten_job_is_free_again(repository):
    first = await ended(repository, idempotency_key="key", fingerprint="a")
    kept = await ended(repository, idempotency_key="other", fingerprint="a")
    await repository.forget([first.id])
    again, is_new = await repository.add(new_job(idempotency_key="key", fingerprint="b"))
    assert is_new
    assert again.id != first.id
    same, is_new = await repository.add(new_job(idempotency_key="other", fingerprint="a"))
    assert (same.id, is_new) == (kept.id, False)
