"""What every store of events does, whatever it keeps them in."""

from datetime import timedelta

import pytest

from ci_common.errors import IdempotencyConflict
from ci_common.job_events import EventFilter, EventType, StoredEvent
from ci_common.jobs import EndReason, JobStatus, Result
from tests.contract.job_states import NOW, PASSED, ended, queued, running

DAY = timedelta(days=1)


@pytest.fixture
def store(repository):
    return repository.events


async def everything(store, **wanted) -> list[StoredEvent]:
    page = await store.after(0, limit=1000, wanted=EventFilter(**wanted))
    return list(page.events)


def types(events) -> list[str]:
    return [event.type.value for event in events]


async def test_there_is_nothing_at_first(store):
    page = await store.after(0, limit=10)
    assert (page.events, page.through, page.oldest, page.latest, page.more) == ([], 0, 1, 0, False)
    assert (await store.latest(), await store.oldest()) == (0, 1)


async def test_a_whole_life_is_written_down(repository, store):
    job = await running(repository, project="p", submitter="ann")
    await repository.requeue(job.id, attempt=1, charged=True, detail="the engine went")
    await repository.claim(job.id, attempt=1, now=NOW)
    await repository.record_stop(job.id, attempt=2, reason=EndReason.TIMED_OUT)
    await repository.record_stop(job.id, attempt=2, reason=EndReason.CANCELLED)
    result = Result(reason=EndReason.TIMED_OUT, exit_code=143, detail="60 s are over")
    assert await repository.finish(job.id, attempt=2, result=result, now=NOW)
    assert await repository.forget([job.id]) == 1
    events = await everything(store)
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6, 7]
    assert {(e.job_id, e.project, e.submitter) for e in events} == {(job.id, "p", "ann")}
    running_, queued_ = JobStatus.RUNNING, JobStatus.QUEUED
    assert [(e.type, e.status, e.attempt, e.reason, e.exit_code, e.detail) for e in events] == [
        ("job.queued", queued_, 0, None, None, None),
        ("job.running", running_, 1, None, None, None),
        ("job.requeued", queued_, 1, None, None, "the engine went"),
        ("job.running", running_, 2, None, None, "the engine went"),
        ("job.stopping", running_, 2, EndReason.TIMED_OUT, None, None),
        ("job.ended", JobStatus.COMPLETED, 2, EndReason.TIMED_OUT, 143, "60 s are over"),
        ("job.removed", None, 2, None, None, None),
    ]
    assert {events[0].at, events[1].at, events[5].at} == {NOW.wall}


async def test_what_is_cancelled_in_the_queue_has_ended(repository, store):
    job = await queued(repository)
    await repository.cancel(job.id, now=NOW)
    last = (await everything(store))[-1]
    assert (last.type, last.status, last.reason) == ("job.ended", "cancelled", "cancelled")


async def test_what_changed_nothing_is_no_event(repository, store):
    job = await ended(repository, idempotency_key="k", fingerprint="f")
    before = await store.latest()
    assert not await repository.finish(job.id, attempt=1, result=PASSED, now=NOW)
    assert await repository.claim(job.id, attempt=1, now=NOW) is None
    await repository.cancel(job.id, now=NOW)
    with pytest.raises(IdempotencyConflict):
        await queued(repository, idempotency_key="k", fingerprint="other")
    assert await store.latest() == before


async def test_pages_follow_each_other_without_a_gap(repository, peer, store):
    """And what one process wrote is seen by another at once."""
    for _ in range(5):
        await queued(repository)
    seen, at = [], 0
    while True:
        page = await peer.events.after(at, limit=2)
        seen += [event.seq for event in page.events]
        at = page.through
        if not page.more:
            break
    assert seen == [1, 2, 3, 4, 5]
    await queued(repository)
    page = await peer.events.after(at, limit=2)
    assert [event.seq for event in page.events] == [6]


async def test_a_filter_chooses_and_still_leads_on(repository, store):
    one = await running(repository, project="a", submitter="ann")
    other = await ended(repository, project="b", submitter="bob")
    assert types(await everything(store, job_id=one.id)) == ["job.queued", "job.running"]
    assert {e.job_id for e in await everything(store, project="b")} == {other.id}
    assert {e.job_id for e in await everything(store, submitter="ann")} == {one.id}
    chosen = frozenset({EventType.ENDED, EventType.QUEUED})
    assert types(await everything(store, types=chosen)) == ["job.queued", "job.queued", "job.ended"]
    assert await everything(store, project="a", submitter="bob") == []
    page = await store.after(0, limit=1, wanted=EventFilter(job_id=one.id))
    assert (page.through, page.more) == (1, True)
    page = await store.after(0, limit=10, wanted=EventFilter(job_id=one.id))
    assert (page.through, page.more) == (5, False)


async def test_a_filter_admits_what_the_store_finds(repository, store):
    job = await ended(repository, project="a", submitter="ann")
    await ended(repository)
    for wanted in (
        EventFilter(job_id=job.id),
        EventFilter(project="a"),
        EventFilter(project=""),
        EventFilter(submitter="ann", types=frozenset({EventType.ENDED})),
    ):
        found = await store.after(0, limit=100, wanted=wanted)
        assert found.events == [e for e in await everything(store) if wanted.admits(e)]


async def test_what_is_others_is_not_seen(repository, store):
    """Whatever else is asked for, and page by page."""
    jobs = {}
    for name in ("ours", "theirs", "", "ours", "also ours"):
        jobs[name] = await ended(repository, organisation=name, project="p")
    ours = frozenset({"ours"})
    for within in (ours, frozenset({"ours", "also ours"}), frozenset[str]()):
        for others in ({}, {"job_id": jobs["theirs"].id}, {"job_id": jobs["ours"].id}):
            for more in ({}, {"project": "p", "types": frozenset({EventType.ENDED})}):
                wanted = EventFilter(within=within, **others, **more)
                expected = [e for e in await everything(store) if wanted.admits(e)]
                assert {e.organisation for e in expected} <= within
                found, seq = [], 0
                while page := (await store.after(seq, limit=2, wanted=wanted)):
                    found += page.events
                    seq = page.through
                    if not page.more:
                        break
                assert found == expected
    assert len(await everything(store, within=ours)) == 6


async def test_the_oldest_go_by_their_age_up_to_the_first_that_is_younger(repository, store):
    await queued(repository)
    await ended(repository)
    assert await store.prune(before=NOW.wall, keep=100) == 0
    assert await store.prune(before=NOW.wall + DAY, keep=100, limit=3) == 3
    assert (await store.oldest(), await store.latest()) == (4, 4)
    page = await store.after(0, limit=10)
    assert ([event.seq for event in page.events], page.oldest) == ([4], 4)


async def test_only_so_many_are_kept(repository, store):
    for _ in range(5):
        await queued(repository)
    assert await store.prune(before=None, keep=2) == 3
    assert await store.oldest() == 4
    assert await store.prune(before=None, keep=2) == 0


async def test_a_sequence_number_never_comes_again(repository, store):
    await queued(repository)
    await queued(repository)
    assert await store.prune(before=None, keep=0) == 2
    assert (await store.oldest(), await store.latest()) == (3, 2)
    page = await store.after(0, limit=10)
    assert (page.events, page.through, page.oldest, page.latest) == ([], 2, 3, 2)
    await queued(repository)
    assert [event.seq for event in await everything(store)] == [3]


async def test_nothing_is_beyond_the_latest(repository, store):
    await queued(repository)
    page = await store.after(99, limit=10)
    assert (page.events, page.through, page.latest, page.more) == ([], 1, 1, False)
