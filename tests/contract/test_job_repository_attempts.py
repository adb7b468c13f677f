"""What every job repository does with claims, and with what attempts write."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, JobStatus, QueueCounts, Result
from tests.contract.job_states import NOW, PASSED, ended, ids, queued, running
from tests.fakes.clock import FakeClock

# --- claims --------------------------------------------------------------------------------


async def test_a_claim_makes_a_queued_job_run_its_next_attempt(repository):
    job = await queued(repository)
    claimed = await repository.claim(job.id, attempt=0, now=NOW)
    assert claimed is not None
    assert (claimed.status, claimed.attempt, claimed.started) == (JobStatus.RUNNING, 1, NOW)
    assert await repository.get(job.id) == claimed
    assert list(await repository.running()) == [claimed]
    assert list(await repository.startable(limit=10, now=NOW.wall)) == []


async def test_a_claim_clears_what_the_attempt_before_left(repository):
    job = await running(repository)
    await repository.record_container(job.id, attempt=1, container="c-1", log_base=9)
    await repository.record_fed(job.id, attempt=1)
    hold = NOW.wall + timedelta(seconds=5)
    await repository.requeue(job.id, attempt=1, charged=True, detail="x", hold_until=hold)
    assert (await repository.get(job.id)).hold_until == hold

    claimed = await repository.claim(job.id, attempt=1, now=NOW)

    assert claimed is not None
    assert claimed.attempt == 2
    left = (claimed.container, claimed.fed, claimed.stop_reason, claimed.hold_until)
    assert left == (None, False, None, None)


async def test_a_claim_of_what_is_not_queued_at_that_attempt_is_refused(repository):
    waiting, busy, over = (
        await queued(repository),
        await running(repository),
        await ended(repository),
    )
    for job_id, attempt in [
        (waiting.id, 1),
        (busy.id, 0),
        (busy.id, 1),
        (over.id, 0),
        (over.id, 1),
        (str(uuid.uuid4()), 0),
    ]:
        assert await repository.claim(job_id, attempt=attempt, now=NOW) is None
    assert await repository.get(waiting.id) == waiting
    assert await repository.get(busy.id) == busy
    assert await repository.get(over.id) == over


async def test_of_racing_claims_one_wins(repository, peer):
    jobs = [await queued(repository) for _ in range(5)]
    claims = [
        store.claim(job.id, attempt=0, now=NOW) for job in jobs for store in (repository, peer) * 4
    ]
    won = [job for job in await asyncio.gather(*claims) if job is not None]
    assert sorted(ids(won)) == sorted(ids(jobs))
    assert await repository.count() == QueueCounts(queued=0, running=5)


# --- writes of a running attempt -----------------------------------------------------------


async def test_what_an_attempt_records_is_kept(repository):
    job = await running(repository)
    assert await repository.record_container(job.id, attempt=1, container="c-1", log_base=42)
    assert await repository.record_fed(job.id, attempt=1)
    kept = await repository.get(job.id)
    assert (kept.container, kept.log_base, kept.log_settled, kept.fed) == ("c-1", 42, 42, True)


async def test_up_to_where_a_log_is_known_is_kept(repository):
    job = await running(repository)
    places = {"log_base": 5, "log_settled": 9}
    assert await repository.record_preparing(job.id, attempt=1, key="k", **places)
    kept = await repository.get(job.id)
    assert (kept.log_base, kept.log_settled) == (5, 9)
    places = {"log_base": 6, "log_settled": 12}
    assert await repository.record_container(job.id, attempt=1, container="c-1", **places)
    kept = await repository.get(job.id)
    assert (kept.log_base, kept.log_settled) == (6, 12)


async def test_the_first_reason_to_stop_stays(repository):
    job = await running(repository)
    assert await repository.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT)
    assert await repository.record_stop(job.id, attempt=1, reason=EndReason.CANCELLED)
    assert (await repository.get(job.id)).stop_reason is EndReason.TIMED_OUT


async def test_the_end_is_written_whole(repository):
    job = await running(repository)
    result = Result(reason=EndReason.OOM_KILLED, exit_code=137, detail="512 MB were not enough")
    clock = FakeClock()
    clock.advance(7.5)

    assert await repository.finish(job.id, attempt=1, result=result, now=clock.now())

    over = await repository.get(job.id)
    assert over.status is JobStatus.COMPLETED
    assert (over.reason, over.exit_code, over.detail) == (result.reason, 137, result.detail)
    assert over.end_time == clock.wall
    assert over.success is False
    assert list(await repository.running()) == []


async def test_a_detail_that_is_no_valid_text_does_not_keep_the_end_from_being_written(repository):
    job = await running(repository)
    result = Result(reason=EndReason.INFRA_ERROR, detail="no such file: \udcff")
    assert await repository.finish(job.id, attempt=1, result=result, now=NOW)
    assert (await repository.get(job.id)).reason is EndReason.INFRA_ERROR


async def test_a_requeued_job_is_queued_and_not_started(repository):
    job = await running(repository)
    assert await repository.requeue(job.id, attempt=1, charged=True, detail="engine gone")
    back = await repository.get(job.id)
    assert (back.status, back.attempt, back.detail) == (JobStatus.QUEUED, 1, "engine gone")
    assert back.started is None
    assert back.reason is None


async def test_only_charged_faults_count(repository):
    job = await running(repository)
    await repository.requeue(job.id, attempt=1, charged=False, detail="our own crash")
    assert (await repository.get(job.id)).faults == 0
    await repository.claim(job.id, attempt=1, now=NOW)
    await repository.requeue(job.id, attempt=2, charged=True, detail="engine gone")
    assert (await repository.get(job.id)).faults == 1


GuardedWrite = Callable[[JobRepository, str, int], Awaitable[bool]]
GUARDED_WRITES: dict[str, GuardedWrite] = {
    "record_container": lambda store, job_id, attempt: store.record_container(
        job_id, attempt=attempt, container="stale", log_base=99
    ),
    "record_fed": lambda store, job_id, attempt: store.record_fed(job_id, attempt=attempt),
    "record_stop": lambda store, job_id, attempt: store.record_stop(
        job_id, attempt=attempt, reason=EndReason.CANCELLED
    ),
    "finish": lambda store, job_id, attempt: store.finish(
        job_id, attempt=attempt, result=Result(reason=EndReason.FAILED, exit_code=1), now=NOW
    ),
    "requeue": lambda store, job_id, attempt: store.requeue(
        job_id, attempt=attempt, charged=True, detail="stale"
    ),
}


@pytest.fixture(params=GUARDED_WRITES)
def guarded_write(request: pytest.FixtureRequest) -> GuardedWrite:
    return GUARDED_WRITES[request.param]


async def test_a_write_of_a_stale_attempt_changes_nothing(repository, guarded_write):
    job = await running(repository)
    await repository.requeue(job.id, attempt=1, charged=False, detail="taken over")
    current = await repository.claim(job.id, attempt=1, now=NOW)
    for attempt in (0, 1, 3):
        assert await guarded_write(repository, job.id, attempt) is False
    assert await repository.get(job.id) == current


async def test_a_write_to_a_queued_job_changes_nothing(repository, guarded_write):
    job = await queued(repository)
    assert await guarded_write(repository, job.id, 0) is False
    assert await repository.get(job.id) == job


async def test_a_write_to_a_requeued_job_changes_nothing(repository, guarded_write):
    job = await running(repository)
    await repository.requeue(job.id, attempt=1, charged=True, detail="engine gone")
    before = await repository.get(job.id)
    assert await guarded_write(repository, job.id, 1) is False
    assert await repository.get(job.id) == before


async def test_a_write_to_an_ended_job_changes_nothing(repository, guarded_write):
    job = await ended(repository)
    assert await guarded_write(repository, job.id, 1) is False
    assert await repository.get(job.id) == job


async def test_a_write_to_an_unknown_job_changes_nothing(repository, guarded_write):
    assert await guarded_write(repository, str(uuid.uuid4()), 1) is False


async def test_a_write_of_the_current_attempt_takes_effect(repository, guarded_write):
    job = await running(repository)
    assert await guarded_write(repository, job.id, 1) is True
    assert await repository.get(job.id) != job


async def test_of_racing_ends_one_is_written(repository, peer):
    job = await running(repository)
    ends = [
        store.finish(
            job.id, attempt=1, result=Result(reason=EndReason.FAILED, exit_code=code), now=NOW
        )
        for code, store in enumerate((repository, peer) * 5)
    ]
    written = await asyncio.gather(*ends)
    assert sum(written) == 1
    assert (await repository.get(job.id)).exit_code == written.index(True)


async def test_an_end_and_a_requeue_do_not_both_happen(repository, peer):
    job = await running(repository)
    finished, requeued = await asyncio.gather(
        repository.finish(job.id, attempt=1, result=PASSED, now=NOW),
        peer.requeue(job.id, attempt=1, charged=True, detail="vanished"),
    )
    assert finished != requeued
    status = (await repository.get(job.id)).status
    assert status is (JobStatus.COMPLETED if finished else JobStatus.QUEUED)
