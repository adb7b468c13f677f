"""What every job repository does when a job is to be cancelled."""

import asyncio
import uuid

import pytest

from ci_common.errors import JobNotFound
from ci_common.jobs import EndReason, JobStatus, QueueCounts, Result
from tests.contract.job_states import NOW, PASSED, ended, queued, running
from tests.fakes.clock import FakeClock

CANCELLED = Result(reason=EndReason.CANCELLED, exit_code=143)


async def test_a_queued_job_ends_there_and_then(repository):
    job = await queued(repository)
    clock = FakeClock()
    clock.advance(7.5)

    cancelled = await repository.cancel(job.id, now=clock.now())

    assert cancelled == await repository.get(job.id)
    assert (cancelled.status, cancelled.reason) == (JobStatus.CANCELLED, EndReason.CANCELLED)
    assert (cancelled.end_time, cancelled.exit_code, cancelled.success) == (clock.wall, None, False)
    assert await repository.count() == QueueCounts(queued=0, running=0)
    assert await repository.claim(job.id, attempt=0, now=NOW) is None


async def test_a_running_job_is_asked_to_stop_and_ends_as_cancelled(repository):
    job = await running(repository)
    asked = await repository.cancel(job.id, now=NOW)
    assert (asked.status, asked.stop_reason) == (JobStatus.RUNNING, EndReason.CANCELLED)
    assert asked == await repository.get(job.id)
    assert await repository.finish(job.id, attempt=1, result=CANCELLED, now=NOW)
    over = await repository.get(job.id)
    assert (over.status, over.reason) == (JobStatus.CANCELLED, EndReason.CANCELLED)
    assert over.exit_code == 143


async def test_one_that_is_being_stopped_keeps_its_reason(repository):
    job = await running(repository)
    await repository.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT)
    before = await repository.get(job.id)
    assert await repository.cancel(job.id, now=NOW) == before


async def test_doing_it_again_changes_nothing(repository):
    for job in (await queued(repository), await running(repository), await ended(repository)):
        once = await repository.cancel(job.id, now=NOW)
        clock = FakeClock()
        clock.advance(60)
        assert await repository.cancel(job.id, now=clock.now()) == once


async def test_one_that_has_ended_stays_as_it_is(repository):
    job = await ended(repository)
    assert await repository.cancel(job.id, now=NOW) == job


async def test_whichever_attempt_it_is_at(repository):
    job = await running(repository)
    await repository.requeue(job.id, attempt=1, charged=True, detail="engine gone")
    waiting = await repository.cancel(job.id, now=NOW)
    assert (waiting.status, waiting.attempt, waiting.detail) == (JobStatus.CANCELLED, 1, None)
    other = await running(repository)
    await repository.requeue(other.id, attempt=1, charged=True, detail="engine gone")
    await repository.claim(other.id, attempt=1, now=NOW)
    assert (await repository.cancel(other.id, now=NOW)).stop_reason is EndReason.CANCELLED


async def test_what_is_being_stopped_does_not_run_again(repository):
    job = await running(repository)
    asked = await repository.cancel(job.id, now=NOW)
    assert not await repository.requeue(job.id, attempt=1, charged=True, detail="vanished")
    assert await repository.get(job.id) == asked


async def test_an_unknown_job(repository):
    for reference in (str(uuid.uuid4()), "", "ä"):
        with pytest.raises(JobNotFound):
            await repository.cancel(reference, now=NOW)


async def test_a_claim_and_a_cancel_in_one_moment_agree(repository, peer):
    for job in [await queued(repository) for _ in range(10)]:
        claimed, answer = await asyncio.gather(
            repository.claim(job.id, attempt=0, now=NOW), peer.cancel(job.id, now=NOW)
        )
        row = await repository.get(job.id)
        if claimed is None:
            assert row.status is JobStatus.CANCELLED
        else:
            assert (row.status, row.stop_reason) == (JobStatus.RUNNING, EndReason.CANCELLED)
        assert answer == row


async def test_an_end_and_a_cancel_in_one_moment_give_one_end(repository, peer):
    for job in [await running(repository) for _ in range(10)]:
        finished, _ = await asyncio.gather(
            repository.finish(job.id, attempt=1, result=PASSED, now=NOW),
            peer.cancel(job.id, now=NOW),
        )
        assert finished
        row = await repository.get(job.id)
        assert (row.status, row.reason) == (JobStatus.COMPLETED, EndReason.PASSED)


async def test_a_requeue_and_a_cancel_in_one_moment_do_not_leave_it_to_run(repository, peer):
    for job in [await running(repository) for _ in range(10)]:
        requeued, _ = await asyncio.gather(
            repository.requeue(job.id, attempt=1, charged=True, detail="vanished"),
            peer.cancel(job.id, now=NOW),
        )
        row = await repository.get(job.id)
        assert row.status is (JobStatus.CANCELLED if requeued else JobStatus.RUNNING)
        assert requeued or row.stop_reason is EndReason.CANCELLED
