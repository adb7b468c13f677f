"""Counts of all jobs: right at every step, and never less than they were."""

from datetime import timedelta

import pytest

from ci_common.clock import Moment
from ci_common.job_totals import Distribution
from ci_common.jobs import EndReason, Result
from tests.contract.job_states import NOW, ended, queued, running
from tests.fakes.repository import new_job


def later(seconds: float) -> Moment:
    return NOW.earlier(-seconds)


def cumulative(found: Distribution, bound: float) -> int:
    return sum(count for upper, count in found.buckets if upper <= bound)


async def test_nothing_is_counted_before_there_is_a_job(repository):
    totals = await repository.totals()
    assert (totals.queued, totals.running, totals.submitted, totals.requeued) == (0, 0, 0, 0)
    assert totals.oldest_queued is None
    assert totals.ended == {}
    assert (totals.queue_wait.count, totals.duration.count) == (0, 0)
    assert totals.queue_wait.buckets[-1][0] == float("inf")


async def test_jobs_are_counted_by_state_and_by_reason(repository):
    await ended(repository)
    job = await running(repository)
    await repository.finish(
        job.id, attempt=job.attempt, result=Result(reason=EndReason.TIMED_OUT), now=NOW
    )
    await running(repository)
    first = await queued(repository)
    await repository.cancel((await queued(repository)).id, now=NOW)
    totals = await repository.totals()
    assert (totals.queued, totals.running, totals.submitted) == (1, 1, 5)
    assert totals.oldest_queued == first.created_at
    assert totals.ended == {EndReason.PASSED: 1, EndReason.TIMED_OUT: 1, EndReason.CANCELLED: 1}
    assert totals.duration.count == 2, "a job that never ran has no duration"


async def test_the_oldest_is_the_one_that_came_first_whatever_its_priority(repository):
    old, new = later(0), later(60)
    await repository.add(new_job(created=old, priority=-5))
    await repository.add(new_job(created=new, priority=5))
    assert (await repository.totals()).oldest_queued == old.wall


async def test_waiting_and_running_are_measured_by_the_clock_nobody_sets(repository):
    job, _ = await repository.add(new_job(created=NOW))
    moved = later(7)
    set_forward = Moment(moved.wall + timedelta(days=1), moved.uptime, moved.boot_id)
    job = await repository.claim(job.id, attempt=0, now=set_forward)
    await repository.finish(
        job.id, attempt=1, result=Result(reason=EndReason.PASSED), now=later(7 + 50)
    )
    totals = await repository.totals()
    assert totals.queue_wait.sum == pytest.approx(7)
    assert totals.duration.sum == pytest.approx(50)


async def test_only_the_first_wait_counts_and_a_new_attempt_is_counted(repository):
    job = await running(repository)
    assert await repository.requeue(job.id, attempt=job.attempt, charged=True, detail="lost")
    await repository.claim(job.id, attempt=job.attempt, now=later(100))
    totals = await repository.totals()
    assert totals.requeued == 1
    assert totals.queue_wait.count == 1


async def test_no_count_goes_down_when_jobs_are_removed(repository):
    job = await ended(repository)
    before = await repository.totals()
    assert await repository.forget([job.id]) == 1
    assert await repository.totals() == before


async def test_the_trace_of_a_submission_is_kept(repository):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job, _ = await repository.add(new_job(traceparent=trace))
    assert job.traceparent == trace
    assert (await repository.get(job.id)).traceparent == trace
