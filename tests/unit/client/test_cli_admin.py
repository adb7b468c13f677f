"""``ci admin`` on a data directory, as a person calls it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ci_client.exits import Exit
from tests.unit.client.cli_harness import Ci
from tests.unit.persistence.data import Data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with an ended and a waiting job, which the settings name."""
    folder = tmp_path / "server"

    async def fill() -> None:
        data = await Data(folder).open()
        await data.ended(b"output\n")
        await data.queued()
        await data.repository.close()

    asyncio.run(fill())
    monkeypatch.setattr("ci_persistence.check.SECOND_LOOK", 0.0)
    monkeypatch.setenv("CI_DB_PATH", str(folder / "ci_jobs.db"))
    monkeypatch.setenv("CI_RESERVE_BYTES", "0")
    monkeypatch.setenv("CI_KEEP_JOBS_FOR", "0")
    monkeypatch.setenv("CI_ORPHAN_GRACE", "0")
    return folder


def plant(folder: Path) -> Path:
    """Leave a log that others can read."""
    (log,) = (folder / "logs").iterdir()
    log.chmod(0o644)
    return log


def jobs(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ci_jobs.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])


class TestBackup:
    def test_it_tells_where_it_is_and_what_is_in_it(
        self, ci: Ci, folder: Path, tmp_path: Path
    ) -> None:
        outcome = ci("admin", "backup", str(tmp_path / "backup"))
        assert outcome.code == Exit.PASSED
        assert outcome.out == f"{tmp_path / 'backup'}\n"
        assert "2 jobs, 1 of them not ended; 3 files" in outcome.err
        assert (tmp_path / "backup" / "manifest.json").is_file()

    def test_what_is_lost_already_is_a_warning(self, ci: Ci, folder: Path, tmp_path: Path) -> None:
        plant(folder).unlink()
        outcome = ci("admin", "backup", str(tmp_path / "backup"))
        assert outcome.code == Exit.PASSED
        assert "warning: job" in outcome.err
        assert "its log is missing; `ci admin check` says" in outcome.err

    def test_a_folder_that_is_there_is_wrong_usage(
        self, ci: Ci, folder: Path, tmp_path: Path
    ) -> None:
        outcome = ci("admin", "backup", str(tmp_path))
        assert (outcome.code, outcome.out) == (Exit.USAGE, "")
        assert "is there already" in outcome.err

    def test_where_no_server_ever_was_nothing_is_made(
        self, ci: Ci, folder: Path, tmp_path: Path
    ) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        to = str(tmp_path / "backup")
        outcome = ci("admin", "backup", "--data-dir", str(empty), to)
        assert outcome.code == Exit.INFRASTRUCTURE
        assert "there is no database at" in outcome.err
        assert list(empty.iterdir()) == []


class TestRestore:
    @pytest.fixture
    def backup(self, ci: Ci, folder: Path, tmp_path: Path) -> str:
        assert ci("admin", "backup", str(tmp_path / "backup")).code == 0
        return str(tmp_path / "backup")

    def test_into_an_empty_directory(self, ci: Ci, backup: str, tmp_path: Path) -> None:
        outcome = ci("admin", "restore", "--data-dir", str(tmp_path / "new"), backup)
        assert (outcome.code, outcome.out) == (Exit.PASSED, "")
        assert outcome.err.startswith("restored 2 jobs as of 20")
        assert "will be named r" in outcome.err
        assert "docker rm -f $(docker ps -aq --filter label=ci.namespace=)" in outcome.err
        assert "warning" not in outcome.err
        assert jobs(tmp_path / "new") == 2

    def test_never_over_data(self, ci: Ci, backup: str, folder: Path) -> None:
        outcome = ci("admin", "restore", backup)
        assert outcome.code == Exit.USAGE
        assert "there is data already" in outcome.err
        assert "--data-dir" in outcome.err

    def test_what_is_no_backup_is_refused(self, ci: Ci, folder: Path, tmp_path: Path) -> None:
        outcome = ci("admin", "restore", "--data-dir", str(tmp_path / "new"), str(tmp_path))
        assert outcome.code == Exit.INFRASTRUCTURE
        assert "not a whole backup" in outcome.err

    def test_a_warning_says_which_jobs_the_server_would_remove_at_once(
        self, ci: Ci, backup: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CI_KEEP_JOBS_FOR", "1ms")
        outcome = ci("admin", "restore", "--data-dir", str(tmp_path / "new"), backup)
        assert "warning: 1 job ended more than" in outcome.err
        assert "CI_KEEP_JOBS_FOR=0" in outcome.err

    def test_the_reserve_is_set_aside_at_once(
        self, ci: Ci, backup: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CI_RESERVE_BYTES", "4096")
        new = str(tmp_path / "new")
        ci("admin", "restore", "--data-dir", new, backup)
        assert ci("admin", "check", "--data-dir", new).code == 0


class TestCheck:
    def test_nothing_is_wrong(self, ci: Ci, folder: Path) -> None:
        outcome = ci("admin", "check")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "nothing is wrong\n")

    def test_what_is_wrong_is_told_with_what_can_be_done(self, ci: Ci, folder: Path) -> None:
        log = plant(folder)
        outcome = ci("admin", "check")
        assert outcome.code == Exit.JOB_FAILED
        assert outcome.out == (
            f"✗ permissions: {log}: others may use it (mode 644); jobs can hold secrets\n"
            "    --repair: take the rights of others away\n"
        )
        assert log.stat().st_mode & 0o777 == 0o644

    def test_what_can_be_is_repaired(self, ci: Ci, folder: Path) -> None:
        log = plant(folder)
        outcome = ci("admin", "check", "--repair")
        assert outcome.code == 0
        assert outcome.out.startswith("✓ permissions:")
        assert "    done: take the rights of others away\n" in outcome.out
        assert outcome.err == "1 of 1 repaired\n"
        assert log.stat().st_mode & 0o777 == 0o600
        assert ci("admin", "check").code == 0

    def test_what_is_left_is_told_and_is_the_exit_code(self, ci: Ci, folder: Path) -> None:
        plant(folder)
        note = folder / "logs" / "NOTES"
        note.touch(mode=0o600)
        outcome = ci("admin", "check", "--repair")
        assert outcome.code == Exit.JOB_FAILED
        assert "not repaired: only a person can decide what to do" in outcome.out
        assert outcome.err == "1 of 2 repaired\n"

    @pytest.mark.parametrize("repair", [False, True])
    def test_json(self, ci: Ci, folder: Path, repair: bool) -> None:
        log = plant(folder)
        outcome = ci("admin", "check", "--json", *(["--repair"] if repair else []))
        assert json.loads(outcome.out) == {
            "name": "permissions",
            "subject": str(log),
            "what": "others may use it (mode 644); jobs can hold secrets",
            "repair": "take the rights of others away",
            "repaired": repair,
            "problem": None,
        }

    def test_names_of_files_cannot_drive_the_terminal(self, ci: Ci, folder: Path) -> None:
        (folder / "logs" / "\x1b]0;owned\x07").touch(mode=0o600)
        outcome = ci("admin", "check")
        assert "unknown_file" in outcome.out
        assert "\x1b" not in outcome.out

    def test_a_server_that_leads_is_not_disturbed(self, ci: Ci, folder: Path) -> None:
        from ci_controller.lock import ControllerLock

        lock = ControllerLock(folder / "controller.lock")
        assert lock.try_acquire()
        plant(folder)
        assert ci("admin", "check", "--repair").code == 0
        lock.release()
        # And without one, the lock is free again afterwards.
        assert ci("admin", "check", "--repair").code == 0
        assert lock.try_acquire()
        lock.release()
