"""What every store of notes on snapshots does, whatever it keeps them in."""

from datetime import timedelta

import pytest

from ci_common.snapshots import SnapshotNote
from tests.contract.job_states import NOW, queued, running

KEY = "a" * 64
WHEN = NOW.wall
LATER = WHEN + timedelta(hours=1, microseconds=1)


@pytest.fixture
def store(repository):
    return repository.snapshots


async def test_nothing_is_noted_at_first(store):
    assert await store.get(KEY) is None
    assert await store.all() == []


async def test_an_installation_is_noted(store):
    await store.made(KEY, now=LATER)
    assert await store.get(KEY) == SnapshotNote(key=KEY, used_at=LATER)
    assert await store.all() == [SnapshotNote(key=KEY, used_at=LATER)]


async def test_that_there_was_nothing_to_install_is_noted(store):
    await store.made(KEY, now=LATER, empty=True)
    assert await store.get(KEY) == SnapshotNote(key=KEY, used_at=LATER, empty_since=LATER)


async def test_a_use_is_noted_and_never_goes_back(store):
    await store.made(KEY, now=WHEN, empty=True)
    await store.used(KEY, now=LATER)
    await store.used(KEY, now=WHEN)
    assert await store.get(KEY) == SnapshotNote(key=KEY, used_at=LATER, empty_since=WHEN)


async def test_a_use_of_what_nothing_is_noted_of(store):
    await store.used(KEY, now=WHEN)
    assert await store.get(KEY) == SnapshotNote(key=KEY, used_at=WHEN)


async def test_what_is_retired_stays_so_until_it_is_made_anew(store):
    await store.made(KEY, now=WHEN)
    await store.retire([KEY, "b"], now=LATER)
    await store.used(KEY, now=LATER)
    assert {note.key: note.retired for note in await store.all()} == {KEY: True, "b": True}
    await store.made(KEY, now=LATER)
    assert await store.get(KEY) == SnapshotNote(key=KEY, used_at=LATER)


async def test_retiring_is_no_use(store):
    await store.made(KEY, now=WHEN)
    await store.retire([KEY], now=LATER)
    assert (await store.get(KEY)).used_at == WHEN


async def test_retiring_nothing(store):
    await store.retire([], now=WHEN)
    assert await store.all() == []


async def test_forgetting(store):
    await store.made(KEY, now=WHEN)
    await store.forget(KEY)
    await store.forget(KEY)
    assert await store.get(KEY) is None


async def test_other_processes_see_it(repositories):
    first, second = repositories
    await first.snapshots.made(KEY, now=WHEN)
    assert await second.snapshots.get(KEY) is not None


async def test_that_a_job_installs_is_noted_with_its_place_in_the_log(repository):
    job = await running(repository)
    assert job.preparing is None
    assert await repository.record_preparing(job.id, attempt=1, key=KEY, log_base=42)
    row = await repository.get(job.id)
    assert (row.preparing, row.log_base, row.container) == (KEY, 42, None)
    assert await repository.record_container(job.id, attempt=1, container="c", log_base=99)
    row = await repository.get(job.id)
    assert (row.preparing, row.log_base, row.container) == (KEY, 99, "c")


async def test_the_next_attempt_has_not_begun_to_install(repository):
    job = await running(repository)
    await repository.record_preparing(job.id, attempt=1, key=KEY, log_base=0)
    await repository.requeue(job.id, attempt=1, charged=False, detail="")
    claimed = await repository.claim(job.id, attempt=1, now=NOW)
    assert claimed.preparing is None


async def test_only_the_attempt_that_runs_can_note_it(repository):
    job = await queued(repository)
    assert not await repository.record_preparing(job.id, attempt=0, key=KEY, log_base=0)
    job = await running(repository)
    assert not await repository.record_preparing(job.id, attempt=2, key=KEY, log_base=0)
    assert (await repository.get(job.id)).preparing is None
