"""What every blob store does, beside the jobs that need its packs."""

import hashlib
from datetime import timedelta

import pytest

from ci_common.blobs import PacksGone, Place
from ci_common.jobs import EndReason, Result
from tests.contract.job_states import NOW
from tests.fakes.repository import new_job

MINE, OTHERS = (hashlib.sha256(secret).digest() for secret in (b"mine", b"others"))
LATER = NOW.wall + timedelta(minutes=5)


def blob(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def place(pack: int, offset: int = 0) -> Place:
    return Place(pack, offset, packed=5, size=9, method=8, crc=2**32 - 1)


async def add(repository, pack: int, *texts: str, scope: bytes = MINE, now=NOW.wall) -> None:
    blobs = {blob(text): place(pack, at) for at, text in enumerate(texts)}
    await repository.blobs.add_pack(scope, pack, 1000 + pack, blobs, now)


async def job_with(repository, *packs: int, **overrides):
    job, _ = await repository.add(new_job(packs=frozenset(packs), **overrides))
    return job


async def end(repository, job) -> None:
    await repository.claim(job.id, attempt=0, now=NOW)
    result = Result(reason=EndReason.PASSED, exit_code=0)
    assert await repository.finish(job.id, attempt=1, result=result, now=NOW)


async def test_blobs_are_found_where_they_lie(repository, peer):
    await add(repository, 2**62, "a", "b")

    found = await peer.blobs.locate(MINE, [blob("a"), blob("b"), blob("none"), blob("a")])

    assert found == {blob("a"): place(2**62, 0), blob("b"): place(2**62, 1)}
    assert await peer.blobs.locate(MINE, []) == {}


async def test_nobody_finds_what_another_brought(repository):
    await add(repository, 1, "a")

    assert await repository.blobs.locate(OTHERS, [blob("a")]) == {}

    await add(repository, 2, "a", scope=OTHERS)
    assert await repository.blobs.locate(OTHERS, [blob("a")]) == {blob("a"): place(2)}
    assert await repository.blobs.locate(MINE, [blob("a")]) == {blob("a"): place(1)}


async def test_a_blob_that_comes_again_moves_to_the_later_pack(repository):
    await add(repository, 1, "a", "b")
    await add(repository, 2, "b")
    assert [pack.superseded for pack in await repository.blobs.packs()] == [False, False]
    await add(repository, 3, "a")

    found = await repository.blobs.locate(MINE, [blob("a"), blob("b")])

    assert {key: at.pack for key, at in found.items()} == {blob("a"): 3, blob("b"): 2}
    assert [(p.id, p.superseded) for p in await repository.blobs.packs()] == [
        (1, True), (2, False), (3, False),
    ]  # fmt: skip


async def test_packs_are_told_in_the_order_of_their_last_use(repository):
    await add(repository, 1, "a")
    await add(repository, 2, "b", now=NOW.wall + timedelta(seconds=1))
    await add(repository, 3, "c", now=NOW.wall - timedelta(seconds=1))
    assert [(p.id, p.size) for p in await repository.blobs.packs()] == [
        (3, 1003), (1, 1001), (2, 1002),
    ]  # fmt: skip


async def test_a_job_uses_its_packs_and_holds_them_until_it_has_ended(repository, peer):
    await add(repository, 1, "a")
    await add(repository, 2, "b")
    job = await job_with(repository, 1, 2)
    held = await peer.blobs.packs()
    assert [pack.held for pack in held] == [True, True]
    assert [await peer.blobs.drop(pack) for pack in held] == [False, False]

    await end(repository, job)

    free = await peer.blobs.packs()
    assert [pack.held for pack in free] == [False, False]
    assert await repository.blobs.drop(free[0])
    assert await peer.blobs.locate(MINE, [blob("a"), blob("b")]) == {blob("b"): place(2)}


async def test_a_job_that_is_queued_again_keeps_its_packs(repository):
    await add(repository, 1, "a")
    job = await job_with(repository, 1)
    await repository.claim(job.id, attempt=0, now=NOW)
    await repository.requeue(job.id, attempt=1, charged=True, detail="vanished")
    (pack,) = await repository.blobs.packs()
    assert pack.held


async def test_two_jobs_hold_one_pack(repository):
    await add(repository, 1, "a")
    first, second = await job_with(repository, 1), await job_with(repository, 1)
    await end(repository, first)
    (pack,) = await repository.blobs.packs()
    assert pack.held
    await end(repository, second)
    (pack,) = await repository.blobs.packs()
    assert await repository.blobs.drop(pack)


async def test_no_job_is_stored_whose_pack_is_gone(repository, peer):
    await add(repository, 1, "a")
    await add(repository, 2, "b")
    (gone, _) = await peer.blobs.packs()
    assert await peer.blobs.drop(gone)

    with pytest.raises(PacksGone):
        await job_with(repository, 1, 2)

    assert (await repository.count()).queued == 0
    (left,) = await repository.blobs.packs()
    assert not left.held


async def test_a_pack_that_was_used_since_is_not_dropped(repository, peer):
    await add(repository, 1, "a")
    (seen,) = await peer.blobs.packs()
    later = type(NOW)(LATER, NOW.uptime + 300, NOW.boot_id)
    await end(repository, await job_with(repository, 1, created=later))

    assert not await peer.blobs.drop(seen)

    (used,) = await peer.blobs.packs()
    assert used.used == LATER
    assert await peer.blobs.drop(used)
    assert not await peer.blobs.drop(used)


async def test_a_repeated_submission_needs_no_pack(repository):
    await add(repository, 1, "a")
    first = await job_with(repository, 1, idempotency_key="k", fingerprint="f")
    await end(repository, first)
    (pack,) = await repository.blobs.packs()
    assert await repository.blobs.drop(pack)
    assert (await job_with(repository, 1, idempotency_key="k", fingerprint="f")).id == first.id


async def test_blobs_of_lost_packs_are_forgotten_and_may_come_again(repository):
    await add(repository, 1, "a")
    await add(repository, 2, "b")
    await job_with(repository, 1)

    await repository.blobs.forget([1])

    assert await repository.blobs.locate(MINE, [blob("a"), blob("b")]) == {blob("b"): place(2)}
    assert [pack.held for pack in await repository.blobs.packs()] == [True, False]
    await add(repository, 3, "a")
    assert (await repository.blobs.locate(MINE, [blob("a")]))[blob("a")].pack == 3
