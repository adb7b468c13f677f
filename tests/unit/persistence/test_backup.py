"""Backups: whole or not there, and each job in a state that its files fit."""

import os
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing

import msgspec
import pytest

from ci_common.errors import ConfigurationError, DatabaseUnusable, StorageFull
from ci_persistence import backup, backup_folder
from ci_persistence.backup import back_up
from ci_persistence.data_directory import DataDirectory
from tests.unit.persistence.processes import run_python

pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
def destination(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "first"


@pytest.fixture
def copied_database(monkeypatch):
    """Have something happen between the copy of the database and those of the files."""

    def then(happen):
        copy = backup._copy_database

        def copy_and_go_on(*arguments):
            copy(*arguments)
            happen()

        monkeypatch.setattr(backup, "_copy_database", copy_and_go_on)

    return then


def rows(folder, query="SELECT id, status FROM jobs ORDER BY seq"):
    with closing(sqlite3.connect(folder / "ci_jobs.db")) as connection:
        return connection.execute(query).fetchall()


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def checked_by_hand(folder):
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder).returncode


def change(data, *statements):
    """Do what a server does meanwhile, in its database."""
    with closing(sqlite3.connect(data.paths.database)) as connection, connection:
        for statement, *values in statements:
            assert connection.execute(statement, values).rowcount == 1


END = (
    "UPDATE jobs SET status = 'completed', reason = 'passed', exit_code = 0, ended_wall = 1,"
    " attempt = 1 WHERE id = ?"
)


async def test_it_holds_every_job_with_what_belongs_to_it(data, destination):
    ended, running = await data.ended(b"output\n"), await data.running(b"so far\n")
    waiting = await data.queued(b"its zip")
    manifest = back_up(data.paths, destination, data.clock)

    assert rows(destination) == [
        (ended.id, "completed"), (running.id, "running"), (waiting.id, "queued"),
    ]  # fmt: skip
    assert names(destination) == sorted(
        [
            "SHA256SUMS",
            "ci_jobs.db",
            "manifest.json",
            f"logs/{ended.id}.log",
            f"logs/{running.id}.log",
            f"stash/{running.id}.zip",
            f"stash/{waiting.id}.zip",
        ]
    )
    assert (destination / f"logs/{running.id}.log").read_bytes() == b"so far\n"
    assert (destination / f"stash/{waiting.id}.zip").read_bytes() == b"its zip"
    assert manifest.jobs == {"queued": 1, "running": 1, "completed": 1, "cancelled": 0}
    assert manifest.created_at == data.clock.now().wall
    assert manifest.problems == []
    assert manifest == backup_folder.read_manifest(destination)


async def test_the_usual_tool_can_check_it(data, destination):
    await data.ended()
    await data.queued()
    manifest = back_up(data.paths, destination, data.clock)
    assert checked_by_hand(destination) == 0
    lines = (destination / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == manifest.files == 3
    files = [destination / line[66:] for line in lines]
    assert manifest.bytes == sum(path.stat().st_size for path in files)
    assert backup_folder.digest(destination / "ci_jobs.db") == manifest.database_sha256


async def test_only_its_owner_can_read_it_and_a_sealed_log_stays_sealed(data, destination):
    job = await data.ended()
    data.paths.log_of(job.id).chmod(0o400)
    back_up(data.paths, destination, data.clock)
    assert stat.S_IMODE(destination.stat().st_mode) == 0o700
    assert stat.S_IMODE((destination / "ci_jobs.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((destination / f"logs/{job.id}.log").stat().st_mode) == 0o400


async def test_it_is_one_sound_file_without_a_log_beside_it(data, destination):
    await data.queued()
    back_up(data.paths, destination, data.clock)
    assert rows(destination, "PRAGMA integrity_check") == [("ok",)]
    assert rows(destination, "PRAGMA journal_mode") == [("delete",)]
    assert not list(destination.glob("ci_jobs.db-*"))


async def test_the_server_can_write_meanwhile_and_is_left_as_it_is(
    data, destination, copied_database
):
    await data.queued()
    before = data.files()
    copied_database(lambda: change(data, ("UPDATE jobs SET project = 'written meanwhile'",)))
    back_up(data.paths, destination, data.clock)
    assert data.files() == before
    assert (await data.repository.find("last")).project == "written meanwhile"


async def test_a_backup_of_a_server_that_does_not_run(data, destination):
    job = await data.queued()
    await data.repository.close()
    back_up(data.paths, destination, data.clock)
    assert rows(destination) == [(job.id, "queued")]


class TestJobsThatMoveMeanwhile:
    async def test_one_that_ended_is_in_its_end_with_its_whole_log(
        self, data, destination, copied_database
    ):
        job = await data.running(b"begun\n")

        def end():
            data.write(job, b"done\n")
            change(data, (END, job.id))
            data.repository.stash.remove_job(job.id)

        copied_database(end)
        manifest = back_up(data.paths, destination, data.clock)
        assert rows(destination) == [(job.id, "completed")]
        assert (destination / f"logs/{job.id}.log").read_bytes() == b"begun\ndone\n"
        assert (manifest.jobs["completed"], manifest.problems) == (1, [])

    async def test_one_that_ended_but_whose_zip_is_still_there_just_runs_again(
        self, data, destination, copied_database
    ):
        job = await data.running()
        copied_database(lambda: change(data, (END, job.id)))
        back_up(data.paths, destination, data.clock)
        assert rows(destination) == [(job.id, "running")]
        assert (destination / f"stash/{job.id}.zip").is_file()

    async def test_one_that_was_removed_is_not_there(self, data, destination, copied_database):
        old, kept = await data.ended(), await data.ended()

        def remove():
            change(data, ("DELETE FROM jobs WHERE id = ?", old.id))
            data.repository.logs.remove(old.id)

        copied_database(remove)
        manifest = back_up(data.paths, destination, data.clock)
        assert rows(destination) == [(kept.id, "completed")]
        assert (manifest.jobs["completed"], manifest.problems) == (1, [])

    async def test_one_that_ended_and_was_removed_is_not_there(
        self, data, destination, copied_database
    ):
        job = await data.queued()

        def end_and_remove():
            change(data, ("DELETE FROM jobs WHERE id = ?", job.id))
            data.repository.stash.remove_job(job.id)

        copied_database(end_and_remove)
        back_up(data.paths, destination, data.clock)
        assert rows(destination) == []

    async def test_one_that_began_has_no_log_of_an_attempt_its_row_knows_nothing_of(
        self, data, destination, copied_database
    ):
        job = await data.queued()
        copied_database(lambda: data.write(job, b"begun after the copy\n"))
        back_up(data.paths, destination, data.clock)
        assert not (destination / f"logs/{job.id}.log").exists()

    async def test_one_that_came_is_not_there_at_all(self, data, destination, copied_database):
        copied_database(lambda: run_python(ADD_ONE, data.paths.database))
        back_up(data.paths, destination, data.clock)
        assert len(rows(data.folder)) == 1
        assert names(destination) == ["SHA256SUMS", "ci_jobs.db", "manifest.json"]

    async def test_any_number_of_jobs(self, data, destination, monkeypatch):
        monkeypatch.setattr(backup, "_BATCH", 2)
        jobs = [await data.ended() for _ in range(5)]
        back_up(data.paths, destination, data.clock)
        assert [row[0] for row in rows(destination)] == [job.id for job in jobs]
        assert len(names(destination / "logs")) == 5


ADD_ONE = """
import asyncio, sys
from pathlib import Path
from tests.unit.persistence.data import Data

async def main():
    data = await Data(Path(sys.argv[1]).parent).open()
    await data.queued()
    await data.repository.close()

asyncio.run(main())
"""


class TestDamagedData:
    async def test_what_was_lost_before_is_said(self, data, destination):
        waiting, damaged, ended = await data.queued(), await data.queued(), await data.ended()
        data.paths.zip_at(waiting.zip_path).unlink()
        data.paths.zip_at(damaged.zip_path).write_bytes(b"other bytes")
        data.paths.log_of(ended.id).unlink()
        manifest = back_up(data.paths, destination, data.clock)
        assert manifest.problems == [
            f"job {waiting.id} has not ended, and its zip is missing",
            f"the zip of job {damaged.id} is not what was submitted",
            f"job {ended.id} has run, and its log is missing",
        ]
        assert len(rows(destination)) == 3

    async def test_a_damaged_database_is_not_backed_up(self, data, destination):
        for _ in range(50):
            await data.queued()
        await data.repository.close()
        with data.paths.database.open("r+b") as file:
            file.seek(4096 * 3)
            file.write(b"\xff" * 4096)
        with pytest.raises(DatabaseUnusable):
            back_up(data.paths, destination, data.clock)
        assert list(destination.parent.iterdir()) == []

    async def test_where_there_is_no_database_none_is_made(self, data, destination, tmp_path):
        elsewhere = DataDirectory(tmp_path / "no.db", tmp_path)
        with pytest.raises(DatabaseUnusable, match="there is no database"):
            back_up(elsewhere, destination, data.clock)
        assert not elsewhere.database.exists()
        assert list(destination.parent.iterdir()) == []


class TestWholeOrNotThere:
    @pytest.mark.parametrize("make", ["mkdir", "touch"])
    async def test_what_is_there_is_not_overwritten(self, data, destination, make):
        getattr(destination, make)()
        with pytest.raises(ConfigurationError, match="is there already"):
            back_up(data.paths, destination, data.clock)
        assert list(destination.parent.iterdir()) == [destination]

    async def test_a_disk_that_is_not_mounted_is_not_written_to(self, data, tmp_path):
        with pytest.raises(ConfigurationError, match="there is no folder"):
            back_up(data.paths, tmp_path / "not mounted" / "first", data.clock)

    @pytest.mark.parametrize("failing", range(1, 5))
    async def test_a_full_disk_leaves_nothing(self, data, destination, monkeypatch, failing):
        await data.running()
        await data.ended()
        opened = backup_folder._copy
        calls = []

        def copy(*arguments):
            calls.append(1)
            if len(calls) == failing:
                raise OSError(28, "No space left on device")
            return opened(*arguments)

        monkeypatch.setattr(backup_folder, "_copy", copy)
        if failing <= 3:
            with pytest.raises(StorageFull):
                back_up(data.paths, destination, data.clock)
            assert list(destination.parent.iterdir()) == []
        else:
            back_up(data.paths, destination, data.clock)
            assert len(calls) == 3

    async def test_a_disk_too_small_for_the_database_is_named_rightly(
        self, data, destination, monkeypatch
    ):
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL

        def copy(*_):
            raise full

        monkeypatch.setattr(backup, "_copy_database", copy)
        with pytest.raises(StorageFull, match=str(destination)):
            back_up(data.paths, destination, data.clock)
        assert list(destination.parent.iterdir()) == []

    async def test_it_is_on_disk_before_it_has_its_name(self, data, destination, monkeypatch):
        seen = []
        monkeypatch.setattr(os, "sync", lambda: seen.append(list(destination.parent.iterdir())))
        back_up(data.paths, destination, data.clock)
        ((staging,),) = seen
        assert staging.name.startswith(".first.partial-")
        assert list(destination.parent.iterdir()) == [destination]

    async def test_killed_on_the_way_it_does_not_look_like_one(self, data, destination):
        await data.ended()
        code, _ = run_python(KILLED_BEFORE_THE_MANIFEST, data.folder, destination)
        assert code == -9
        (rest,) = destination.parent.iterdir()
        assert rest.name.startswith(".first.partial-")
        assert not (rest / "manifest.json").exists()
        shutil.rmtree(rest)


KILLED_BEFORE_THE_MANIFEST = """
import os, signal, sys
from pathlib import Path
from ci_common.clock import SystemClock
from ci_persistence import backup
from ci_persistence.data_directory import DataDirectory

backup.Manifest = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1])
backup.back_up(DataDirectory(folder / "ci_jobs.db", folder), Path(sys.argv[2]), SystemClock())
"""


async def test_a_manifest_of_the_future_can_have_more_in_it(data, destination):
    back_up(data.paths, destination, data.clock)
    path = destination / "manifest.json"
    facts = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(facts | {"colour": "blue"}))
    assert backup_folder.read_manifest(destination).format == backup_folder.FORMAT


async def test_a_manifests_job_takes_its_pack_along_and_no_other(data, destination):
    job, other = await data.queued_tree(7), await data.queued_tree(8)
    await data.end(await data.start(other))
    manifest = back_up(data.paths, destination, data.clock)
    assert manifest.problems == []
    assert names(destination / "packs") == [f"{7:016x}.zip"]
    assert rows(destination, "SELECT id FROM packs") == [(7,)]
    assert rows(destination, "SELECT pack FROM blobs") == [(7,)]
    assert (destination / "stash" / f"{job.id}.tree").read_bytes() == b"a tree"
