"""Concurrency groups, queue time-outs and kept projects, in every job repository."""

import uuid
from dataclasses import replace

import pytest

from ci_common.blobs import PacksGone
from ci_common.jobs import EndReason, GroupPolicy, JobStatus, Result
from tests.contract.job_states import NOW, PASSED, ended, ids, queued, running
from tests.fakes.repository import new_job

IN_ORDER = {"group": "g", "group_policy": GroupPolicy.QUEUE}
NEWEST_ONLY = {"group": "g", "group_policy": GroupPolicy.CANCEL_OLDER}


async def startable(repository):
    return ids(await repository.startable(limit=10, now=NOW.wall))


# --- groups --------------------------------------------------------------------------------


async def test_a_newer_job_ends_those_of_its_group_that_wait(repository):
    older, other = await queued(repository, **NEWEST_ONLY), await queued(repository, group="h")
    newer = await queued(repository, **NEWEST_ONLY)
    over = await repository.get(older.id)
    assert (over.status, over.reason) == (JobStatus.CANCELLED, EndReason.CANCELLED)
    assert newer.id in over.detail
    assert await startable(repository) == [other.id, newer.id]


async def test_a_newer_job_has_those_of_its_group_stopped_that_run(repository):
    older = await running(repository, **NEWEST_ONLY)
    newer = await queued(repository, **NEWEST_ONLY)
    stopping = await repository.get(older.id)
    assert (stopping.status, stopping.stop_reason) == (JobStatus.RUNNING, EndReason.CANCELLED)
    result = Result(reason=EndReason.CANCELLED, exit_code=143)
    assert await repository.finish(older.id, attempt=1, result=result, now=NOW)
    assert newer.id in (await repository.get(older.id)).detail
    assert await startable(repository) == [newer.id]


async def test_a_detail_of_an_earlier_attempt_is_not_that_of_a_cancel(repository):
    job = await running(repository)
    await repository.requeue(job.id, attempt=1, charged=True, detail="engine gone")
    await repository.claim(job.id, attempt=1, now=NOW)
    await repository.cancel(job.id, now=NOW)
    await repository.finish(job.id, attempt=2, result=Result(reason=EndReason.CANCELLED), now=NOW)
    assert (await repository.get(job.id)).detail is None


async def test_a_group_belongs_to_its_project(repository):
    one = await queued(repository, project="a", **NEWEST_ONLY)
    two = await queued(repository, project="b", **NEWEST_ONLY)
    assert await startable(repository) == [one.id, two.id]


async def test_a_repeated_submission_cancels_nothing(repository):
    """Else a retried request would end the job that it made itself."""
    once = {"idempotency_key": "k", "fingerprint": "f", **NEWEST_ONLY}
    first, _ = await repository.add(new_job(**once))
    later = await queued(repository, group="g", group_policy=GroupPolicy.QUEUE)
    again, _ = await repository.add(new_job(**once))
    assert again == first
    assert (await repository.get(later.id)).status is JobStatus.QUEUED


async def test_what_is_refused_cancels_nothing(repository):
    older = await queued(repository, **NEWEST_ONLY)
    with pytest.raises(PacksGone):
        await repository.add(new_job(packs=frozenset({7}), **NEWEST_ONLY))
    assert (await repository.get(older.id)).status is JobStatus.QUEUED


async def test_one_of_a_group_at_a_time_and_others_are_not_held_up(repository):
    first, second, third = [await queued(repository, **IN_ORDER) for _ in range(3)]
    other = await queued(repository)
    assert await startable(repository) == [first.id, other.id]
    assert await repository.claim(first.id, attempt=0, now=NOW)
    assert await startable(repository) == [other.id]
    assert await repository.claim(second.id, attempt=0, now=NOW) is None
    assert await repository.finish(first.id, attempt=1, result=PASSED, now=NOW)
    assert await startable(repository) == [second.id, other.id]
    await repository.cancel(second.id, now=NOW)
    assert await startable(repository) == [third.id, other.id]


async def test_whatever_starts_late_two_of_a_group_never_run(repository):
    """Two controllers may believe to lead for a moment; the claim itself decides."""
    first, second = [await queued(repository, **IN_ORDER) for _ in range(2)]
    read_before = await repository.startable(limit=10, now=NOW.wall)
    urgent = await queued(repository, priority=5, **IN_ORDER)
    assert ids(read_before) == [first.id]
    assert await repository.claim(first.id, attempt=0, now=NOW) is None
    assert await repository.claim(urgent.id, attempt=0, now=NOW)
    for job in (first, second):
        assert await repository.claim(job.id, attempt=0, now=NOW) is None


async def test_one_that_is_queued_again_keeps_its_place_in_the_group(repository):
    first = await running(repository, **IN_ORDER)
    second = await queued(repository, **IN_ORDER)
    await repository.requeue(first.id, attempt=1, charged=True, detail="engine gone")
    assert await startable(repository) == [first.id]
    assert await repository.claim(second.id, attempt=0, now=NOW) is None


async def test_one_that_runs_without_the_policy_counts_too(repository):
    older = await running(repository, **NEWEST_ONLY)
    waits = await queued(repository, **IN_ORDER)
    assert await startable(repository) == []
    assert await repository.finish(older.id, attempt=1, result=PASSED, now=NOW)
    assert await startable(repository) == [waits.id]


# --- queue time-outs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "uptime", "same_boot", "is_over"),
    [
        (59, 59, True, False),
        (60, 60, True, True),
        (86_400, 59, True, False),
        (-86_400, 60, True, False),
        (60, 1, False, True),
    ],
)
async def test_both_clocks_must_say_that_a_queue_timeout_is_over(
    repository, wall, uptime, same_boot, is_over
):
    job = await queued(repository, queue_timeout=60.0)
    await queued(repository)
    now = replace(
        NOW,
        wall=NOW.earlier(-wall).wall,
        uptime=NOW.uptime + uptime,
        boot_id=NOW.boot_id if same_boot else "another",
    )
    found = await repository.overdue(limit=10, now=now)
    assert ids(found) == ([job.id] if is_over else [])


async def test_a_job_that_waited_too_long_ends_without_having_run(repository):
    job = await queued(repository, queue_timeout=1.0)
    over = await repository.expire(job.id, detail="it waited", now=NOW)
    assert over is not None
    assert (over.status, over.reason) == (JobStatus.CANCELLED, EndReason.QUEUE_TIMED_OUT)
    assert (over.detail, over.attempt) == ("it waited", 0)
    assert await repository.expire(job.id, detail="again", now=NOW) is None


async def test_only_a_job_that_was_never_claimed_can_wait_too_long(repository):
    job = await running(repository, queue_timeout=1.0)
    late = NOW.earlier(-3600)
    assert await repository.expire(job.id, detail="", now=NOW) is None
    await repository.requeue(job.id, attempt=1, charged=True, detail="engine gone")
    assert await repository.overdue(limit=10, now=late) == []
    assert await repository.expire(job.id, detail="", now=NOW) is None
    assert (await repository.get(job.id)).status is JobStatus.QUEUED


# --- projects that are kept ----------------------------------------------------------------


async def test_a_project_is_kept_until_it_is_released(repository):
    waits, over = await queued(repository), await ended(repository, zip_size=7)
    assert (await repository.get(over.id)).stashed
    assert ids(await repository.oldest_stashed(limit=9, before=NOW.earlier(-1))) == [over.id]
    assert await repository.stashed_bytes() == 7
    assert await repository.packs_of(over.id) == frozenset()
    assert await repository.release([over.id, waits.id, str(uuid.uuid4())]) == 1
    assert not (await repository.get(over.id)).stashed
    assert (await repository.get(waits.id)).stashed
    assert await repository.oldest_stashed(limit=9, before=NOW.earlier(-1)) == []
    assert await repository.stashed_bytes() == 0
    assert await repository.packs_of(over.id) is None
    assert await repository.release([over.id]) == 0


async def test_the_packs_of_a_kept_project_can_be_held_again(repository):
    await repository.blobs.add_pack(b"s", 7, 100, {}, NOW.wall)
    over = await ended(repository, packs=frozenset({7}))
    packs = await repository.packs_of(over.id)
    assert packs == {7}
    again = await queued(repository, packs=packs, retry_of=over.id)
    (pack,) = await repository.blobs.packs()
    assert pack.held
    assert not await repository.blobs.drop(pack)
    assert await repository.packs_of(again.id) == {7}


async def test_a_pack_that_goes_takes_kept_projects_with_it(repository):
    await repository.blobs.add_pack(b"s", 7, 100, {}, NOW.wall)
    over = await ended(repository, packs=frozenset({7}))
    (pack,) = await repository.blobs.packs()
    assert (pack.held, pack.superseded) == (False, False)
    assert await repository.blobs.drop(pack)
    assert not (await repository.get(over.id)).stashed
    assert await repository.packs_of(over.id) is None
