"""Which packs go, and that nothing goes which a job needs."""

import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.blobs import Pack, Place
from ci_common.jobs import EndReason, Result
from ci_controller.sweep import dispensable, sweep, sweep_packs
from tests.fakes.clock import FakeClock
from tests.fakes.repository import InMemoryJobRepository, new_job

CLOCK = FakeClock()
NOW = CLOCK.now().wall
LONG_AGO = NOW - timedelta(days=30)
SCOPE = bytes(32)


def pack(number: int, size: int = 10, *, held: bool = False, superseded: bool = False) -> Pack:
    return Pack(number, size, LONG_AGO + timedelta(hours=number), held, superseded)


def doomed(*packs: Pack, budget: int = 10**9, unused_since=LONG_AGO) -> list[int]:
    return [each.id for each in dispensable(packs, budget=budget, unused_since=unused_since)]


def test_within_the_budget_all_stay():
    assert doomed(pack(1), pack(2), budget=20) == []


def test_beyond_it_those_used_longest_ago_go_until_the_rest_fits():
    assert doomed(pack(1), pack(2, 5), pack(3), budget=10) == [1, 2]


def test_what_a_job_needs_stays_whatever_the_budget():
    assert doomed(pack(1, held=True), pack(2), pack(3, held=True), budget=0) == [2]


def test_what_no_new_job_can_ask_for_goes_first_and_always():
    assert doomed(pack(1), pack(2, superseded=True), budget=10) == [2]
    assert doomed(pack(1, superseded=True)) == [1]
    assert doomed(pack(1, superseded=True, held=True), budget=0) == []


def test_what_nobody_used_for_long_goes():
    assert doomed(pack(1), pack(30), unused_since=LONG_AGO + timedelta(hours=2)) == [1]


PACKS = st.builds(
    Pack,
    id=st.integers(0, 10**6),
    size=st.integers(1, 100),
    used=st.datetimes(
        LONG_AGO.replace(tzinfo=None), NOW.replace(tzinfo=None), timezones=st.just(NOW.tzinfo)
    ),
    held=st.booleans(),
    superseded=st.booleans(),
)


@given(packs=st.lists(PACKS, max_size=8, unique_by=lambda p: p.id), budget=st.integers(0, 300))
def test_only_what_is_free_goes_and_then_all_that_has_to(packs, budget):
    packs.sort(key=lambda each: each.used)
    gone = list(dispensable(packs, budget=budget, unused_since=LONG_AGO))
    assert not any(each.held for each in gone)
    left = [each for each in packs if each not in gone]
    assert sum(each.size for each in left) <= budget or all(each.held for each in left)
    useful = [each for each in gone if not each.superseded]
    kept_free = [each for each in left if not each.held]
    assert all(old.used <= young.used for old in useful for young in kept_free)


@pytest.fixture
def repository(tmp_path):
    return InMemoryJobRepository(tmp_path)


async def stored(repository, number: int, *, size: int = 100, used=NOW) -> None:
    upload = repository.stash.new_upload()
    upload.write(bytes(size))
    upload.commit_pack(number)
    upload.discard()
    place = Place(number, 0, 1, 1, 0, 0)
    blobs = {number.to_bytes(32, "big"): place}
    await repository.blobs.add_pack(SCOPE, number, size, blobs, used)


async def swept(repository, *, budget: int = 0) -> int:
    return await sweep_packs(repository, CLOCK, grace=60, budget=budget, age=86_400)


def files(repository) -> list[str]:
    return sorted(path.name for path in repository.stash.packs_folder.iterdir())


async def test_the_pack_of_a_queued_job_survives_a_budget_of_nothing(repository):
    await stored(repository, 1)
    await stored(repository, 2)
    await repository.add(new_job(packs=frozenset({2}), created=CLOCK.now()))

    assert await swept(repository) == 1

    assert files(repository) == [f"{2:016x}.zip"]
    assert [each.id for each in await repository.blobs.packs()] == [2]


async def test_a_pack_that_a_submission_takes_meanwhile_stays(repository, monkeypatch):
    await stored(repository, 1)
    look = repository.blobs.packs

    async def look_and_be_overtaken():
        seen = await look()
        await repository.add(new_job(packs=frozenset({1}), created=CLOCK.now()))
        return seen

    monkeypatch.setattr(repository.blobs, "packs", look_and_be_overtaken)
    assert await swept(repository) == 0
    assert files(repository) == [f"{1:016x}.zip"]


async def test_a_crash_between_file_and_row_leaves_what_is_swept_after_a_while(repository):
    upload = repository.stash.new_upload()
    upload.commit_pack(7)
    upload.discard()
    path = repository.stash.packs_folder / f"{7:016x}.zip"
    os.utime(path, (NOW.timestamp() - 59,) * 2)
    assert await swept(repository, budget=10**9) == 0
    os.utime(path, (NOW.timestamp() - 61,) * 2)
    assert await swept(repository, budget=10**9) == 1
    assert files(repository) == []


async def test_a_crash_between_tree_and_row_leaves_what_is_swept_after_a_while(repository):
    tree = repository.stash.keep_tree("550e8400-e29b-41d4-a716-446655440000", b"tree")
    tree.discard()
    os.utime(tree.path, (NOW.timestamp() - 61,) * 2)
    assert await sweep(repository, CLOCK, grace=60) == 1
    assert list(repository.stash.stashed(older_than=NOW.replace(year=2100))) == []


async def test_the_stash_of_a_job_that_has_ended_needs_no_while(repository):
    """Fault 9. Of a job that waits it stays, and of one that nobody knows until it is old."""
    jobs = [new_job() for _ in range(2)]
    for job in jobs:
        await repository.add(job)
        repository.stash.keep_tree(job.id, b"tree").discard()
    repository.stash.keep_tree("550e8400-e29b-41d4-a716-446655440000", b"tree").discard()
    await repository.claim(jobs[0].id, attempt=0, now=CLOCK.now())
    passed = Result(reason=EndReason.PASSED, exit_code=0)
    await repository.finish(jobs[0].id, attempt=1, result=passed, now=CLOCK.now())
    assert await sweep(repository, CLOCK, grace=60) == 0  # it is kept for a retry
    await repository.release([jobs[0].id])
    later = FakeClock()
    later.advance(1)
    for path in (repository.data_dir / "stash").iterdir():
        os.utime(path, (NOW.timestamp(),) * 2)
    assert await sweep(repository, later, grace=60) == 1
    left = set(repository.stash.stashed(older_than=NOW.replace(year=2100)))
    assert left == {jobs[1].id, "550e8400-e29b-41d4-a716-446655440000"}


async def test_of_a_long_queue_only_some_names_are_held_at_once(repository, monkeypatch):
    """Fault 31. The stash has a file for each job that waits."""
    batch, queued = 10, 35
    monkeypatch.setattr("ci_controller.sweep._BATCH", batch)
    for _ in range(queued):
        job, _ = await repository.add(new_job())
        tree = repository.stash.keep_tree(job.id, b"")
        tree.discard()
        os.utime(tree.path, (NOW.timestamp() - 61,) * 2)
    look, stashed, get_many = (
        {"ahead": 0, "asked": 0},
        repository.stash.stashed,
        repository.get_many,
    )

    def names(**moment):
        for name in stashed(**moment):
            look["ahead"] += 1
            yield name

    async def rows(job_ids):
        assert look["ahead"] <= batch
        look["ahead"] = 0
        look["asked"] += len(job_ids)
        return await get_many(job_ids)

    monkeypatch.setattr(repository.stash, "stashed", names)
    monkeypatch.setattr(repository, "get_many", rows)
    assert await sweep(repository, CLOCK, grace=60) == 0
    assert look == {"ahead": 0, "asked": queued}
    assert len(list(stashed(older_than=NOW.replace(year=2100)))) == queued


async def test_a_file_of_another_kind_among_the_packs_is_left_alone(repository):
    await stored(repository, 1)
    (repository.stash.packs_folder / "notes.txt").write_text("mine")
    os.utime(repository.stash.packs_folder / "notes.txt", (0, 0))
    await swept(repository)
    assert files(repository) == ["notes.txt"]
