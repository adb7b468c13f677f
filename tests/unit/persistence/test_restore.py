"""Restoring a backup: every byte checked, nothing overwritten, nobody else's containers."""

import hashlib
import sqlite3
from dataclasses import replace

import msgspec
import pytest

from ci_common.errors import BackupUnusable, ConfigurationError, StorageFull
from ci_common.jobs import EndReason, JobStatus
from ci_persistence import backup_folder
from ci_persistence.backup import back_up
from ci_persistence.restore import ended_before, restore
from ci_persistence.schema import load_migrations, upgrade
from tests.unit.persistence.data import Data
from tests.unit.persistence.filling import fill_with_ended_jobs
from tests.unit.persistence.processes import run_python


@pytest.fixture
def source(tmp_path):
    return tmp_path / "backup"


@pytest.fixture
async def target(tmp_path):
    """Where a second server will have its data."""
    made = Data(tmp_path / "restored")
    yield made
    await made.repository.close()


@pytest.fixture
async def jobs(data, source):
    """An ended, a running and a waiting job in a backup; the server goes on."""
    found = {
        "ended": await data.ended(b"output\n"),
        "running": await data.running(b"so far\n"),
        "waiting": await data.queued(b"its zip"),
    }
    back_up(data.paths, source, data.clock)
    return found


def rewrite_manifest(source, **changes):
    path = source / "manifest.json"
    facts = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(facts | changes))


def nothing_at(target: Data) -> bool:
    return not [name for name in target.files() if name not in ("stash", "logs")]


async def test_every_job_is_there_with_what_belongs_to_it(jobs, source, target):
    restored = restore(source, target.paths, target.clock)
    await target.open()
    ended = await target.job(jobs["ended"])
    assert ended == replace(jobs["ended"], stashed=False)
    assert target.log(ended) == b"output\n"
    assert target.log(jobs["running"]) == b"so far\n"
    waiting = await target.job(jobs["waiting"])
    assert waiting.zip_path == str(target.paths.stash / f"{waiting.id}.zip")
    assert (target.paths.stash / f"{waiting.id}.zip").read_bytes() == b"its zip"
    assert (await target.repository.find("last")).id == waiting.id
    assert (restored.again, restored.manifest.jobs["queued"]) == (1, 1)


async def test_a_job_that_ran_waits_in_its_old_place_and_is_not_charged(jobs, source, target):
    restore(source, target.paths, target.clock)
    await target.open()
    again = await target.job(jobs["running"])
    assert again.status is JobStatus.QUEUED
    assert (again.faults, again.attempt, again.start_time) == (0, 1, None)
    assert "restored from a backup of 2026-01-01T00:00:00.000Z" in again.detail
    assert again.zip_path == str(target.paths.stash / f"{again.id}.zip")
    startable = await target.repository.startable(limit=10, now=target.clock.now().wall)
    assert [job.id for job in startable] == [again.id, jobs["waiting"].id]


async def test_what_happened_is_there_and_is_gone_on_with(data, jobs, source, target):
    """A client that saw more of the original is beyond the latest here, and can be told so."""
    await data.repository.cancel(jobs["waiting"].id, now=data.clock.now())
    original = await data.repository.events.after(0, limit=100)
    restore(source, target.paths, target.clock)
    await target.open()
    page = await target.repository.events.after(0, limit=100)
    assert page.events[:-1] == original.events[:-1]
    assert (page.events[-1].type, page.events[-1].job_id) == ("job.requeued", jobs["running"].id)
    await target.queued()
    assert await target.repository.events.latest() == page.latest + 1


async def test_a_job_that_was_being_stopped_ends_for_that_reason(data, source, target):
    job = await data.running()
    await data.repository.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT)
    back_up(data.paths, source, data.clock)
    restored = restore(source, target.paths, target.clock)
    await target.open()
    ended = await target.job(job)
    assert (ended.status, ended.reason) == (JobStatus.COMPLETED, EndReason.TIMED_OUT)
    assert ended.end_time == target.clock.now().wall
    assert restored.again == 0


async def test_its_containers_are_told_from_those_of_every_other_copy(
    data, jobs, source, target, tmp_path
):
    assert await data.repository.restored_as() is None
    first = restore(source, target.paths, target.clock)
    await target.open()
    assert await target.repository.restored_as() == first.token

    back_up(target.paths, tmp_path / "second backup", target.clock)
    other = Data(tmp_path / "restored again")
    second = restore(tmp_path / "second backup", other.paths, other.clock)
    await other.open()
    assert await other.repository.restored_as() == second.token != first.token
    await other.repository.close()


async def test_a_sealed_log_stays_sealed_and_the_rest_is_its_owners_alone(data, source, target):
    job = await data.ended()
    data.paths.log_of(job.id).chmod(0o400)
    back_up(data.paths, source, data.clock)
    restore(source, target.paths, target.clock)
    assert target.paths.log_of(job.id).stat().st_mode & 0o777 == 0o400
    for path in (target.paths.database, target.paths.logs, target.paths.stash):
        assert path.stat().st_mode & 0o077 == 0


async def test_the_server_that_was_backed_up_goes_on_untouched(data, jobs, source, target):
    before = [await data.job(job) for job in jobs.values()]
    restore(source, target.paths, target.clock)
    assert [await data.job(job) for job in jobs.values()] == before


async def test_nothing_but_the_data_is_left(jobs, source, target):
    restore(source, target.paths, target.clock)
    top = [name for name in target.files() if "/" not in name]
    assert top == ["artifacts", "ci_jobs.db", "logs", "packs", "stash"]


async def test_empty_folders_are_not_in_the_way(jobs, source, target):
    for folder in (target.paths.stash, target.paths.logs, target.paths.uploads):
        folder.mkdir(parents=True)
    restore(source, target.paths, target.clock)
    assert target.log(jobs["ended"]) == b"output\n"


@pytest.mark.parametrize("taken", ["ci_jobs.db", "ci_jobs.db-wal", "stash/x.zip", "logs/x.log"])
async def test_data_is_never_overwritten(jobs, source, target, taken):
    path = target.folder / taken
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    before = target.files()
    with pytest.raises(ConfigurationError, match="there is data already"):
        restore(source, target.paths, target.clock)
    assert target.files() == before
    assert path.read_bytes() == b"precious"


class TestBadBackups:
    async def test_every_flipped_bit_is_noticed(self, jobs, source, target):
        files = [p for p in source.rglob("*") if p.is_file() and p.name != "manifest.json"]
        assert len(files) == 6
        for path in files:
            content = path.read_bytes()
            middle = len(content) // 2
            path.chmod(0o600)
            flipped = bytes([content[middle] ^ 1])
            path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
            with pytest.raises(BackupUnusable, match="is damaged"):
                restore(source, target.paths, target.clock)
            path.write_bytes(content)
            assert nothing_at(target)
        restore(source, target.paths, target.clock)

    async def test_every_missing_file_is_noticed(self, jobs, source, target):
        for path in [p for p in source.rglob("*") if p.is_file()]:
            aside = path.rename(source.with_name("aside"))
            with pytest.raises(BackupUnusable, match=r"not a whole backup|is damaged"):
                restore(source, target.paths, target.clock)
            aside.rename(path)
            assert nothing_at(target)

    @pytest.mark.parametrize("changes", [{"format": 2}, {"schema": 10_000}])
    async def test_one_of_a_later_version_is_refused(self, jobs, source, target, changes):
        rewrite_manifest(source, **changes)
        with pytest.raises(BackupUnusable, match="newer version"):
            restore(source, target.paths, target.clock)
        assert nothing_at(target)

    @pytest.mark.parametrize("text", ["", "{}", '{"format": "one"}', "[", '{"created_at": "now"}'])
    async def test_a_manifest_that_is_none_is_refused(self, jobs, source, target, text):
        (source / "manifest.json").write_text(text)
        with pytest.raises(BackupUnusable, match=r"manifest\.json"):
            restore(source, target.paths, target.clock)

    async def test_a_folder_that_is_none_is_refused(self, tmp_path, target):
        with pytest.raises(BackupUnusable, match="not a whole backup"):
            restore(tmp_path, target.paths, target.clock)

    @pytest.mark.parametrize("name", ["../outside", "stash/../../outside", "/outside", "tmp/x.zip"])
    async def test_no_name_leads_out_of_the_data(self, jobs, source, target, name):
        content = b"evil"
        (source / "outside").write_bytes(content)
        with (source / "SHA256SUMS").open("a") as sums:
            sums.write(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        rewrite_manifest(source, sums_sha256=backup_folder.digest(source / "SHA256SUMS"))
        with pytest.raises(BackupUnusable, match="is damaged"):
            restore(source, target.paths, target.clock)
        assert nothing_at(target)


async def test_a_full_disk_leaves_nothing(jobs, source, target, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_folder, "_copy", full)
    with pytest.raises(StorageFull):
        restore(source, target.paths, target.clock)
    assert nothing_at(target)


async def test_a_disk_too_small_for_the_database_leaves_nothing(jobs, source, target, monkeypatch):
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def upgrade(*_, **__):
        raise full

    monkeypatch.setattr("ci_persistence.restore.upgrade", upgrade)
    with pytest.raises(StorageFull, match=str(target.folder)):
        restore(source, target.paths, target.clock)
    assert nothing_at(target)


KILLED_BEFORE_THE_DATABASE = """
import os, signal, sys
import sqlite3
import sqlite3
from pathlib import Path
from ci_common.clock import SystemClock
from ci_persistence import restore
from ci_persistence.data_directory import DataDirectory

restore.os.sync = lambda: os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[2])
restore.restore(Path(sys.argv[1]), DataDirectory(folder / "ci_jobs.db", folder), SystemClock())
"""


async def test_killed_on_the_way_there_is_nothing_that_a_server_would_take_for_data(
    jobs, source, target
):
    code, _ = run_python(KILLED_BEFORE_THE_DATABASE, source, target.folder)
    assert code == -9
    assert not target.paths.database.exists()
    # What to clear away before it is done again is said.
    with pytest.raises(ConfigurationError, match=r"stash.*logs"):
        restore(source, target.paths, target.clock)


async def test_a_backup_of_an_older_schema_is_upgraded(source, target, tmp_path):
    old = Data(tmp_path / "old")
    upgrade(old.paths.database, load_migrations()[:1], busy_timeout=1)
    fill_with_ended_jobs(old.paths.database, 1)
    assert back_up(old.paths, source, old.clock).schema == 1
    restored = restore(source, target.paths, target.clock)
    await target.open()
    assert await target.repository.restored_as() == restored.token
    assert len(await target.repository.list_recent(limit=10)) == 1


async def test_how_many_would_expire_at_once(jobs, source, target):
    restore(source, target.paths, target.clock)
    now = target.clock.now()
    assert ended_before(target.paths, now) == 0
    target.clock.advance(10)
    assert ended_before(target.paths, target.clock.now()) == 1


async def test_a_manifests_job_finds_its_files_beside_it_again(data, source, target):
    job = await data.queued_tree(7)
    back_up(data.paths, source, data.clock)
    restore(source, target.paths, target.clock)
    await target.open()
    restored = await target.job(job)
    assert restored.zip_path == str(target.paths.stash / f"{job.id}.tree")
    assert (target.paths.packs / f"{7:016x}.zip").read_bytes() == b"a pack"
    (pack,) = await target.repository.blobs.packs()
    assert (pack.id, pack.held) == (7, True)


async def test_a_damaged_pack_is_refused(data, source, target):
    await data.queued_tree(7)
    back_up(data.paths, source, data.clock)
    (source / "packs" / f"{7:016x}.zip").write_bytes(b"a pact")
    with pytest.raises(BackupUnusable, match="packs/"):
        restore(source, target.paths, target.clock)
    assert nothing_at(target)


async def test_the_former_servers_images_are_forgotten(data, source, target):
    await data.repository.snapshots.made("its key", now=data.clock.now().wall)
    back_up(data.paths, source, data.clock)
    restore(source, target.paths, target.clock)
    await target.open()
    assert await target.repository.snapshots.all() == []
