"""A small disk that fills up, for real: nothing is lost, and the server helps itself."""

import json
import sqlite3
from contextlib import closing

import pytest

from ci_common.errors import StorageFull
from ci_controller.retention import Retention
from ci_controller.settings import RetentionSettings
from ci_persistence.jobs import SQLiteJobRepository
from ci_persistence.space import DiskSpace, Reserve
from tests.e2e.harness import WAIT_FOR_GO
from tests.fakes.clock import FakeClock
from tests.small_disk import MIB
from tests.unit.persistence.filling import fill_with_ended_jobs
from tests.waiting import eventually

BIG = "yes 'a line of output' | head -c 4000000"


@pytest.fixture
def start(disk, servers, namespace):
    """Start a server that has its data on the small disk."""

    def make(**settings: str):
        chosen = {
            "executor": "local",
            "db_path": str(disk.path / "ci_jobs.db"),
            "min_free_bytes": "16m",
            "reserve_bytes": "4m",
            **settings,
        }
        return servers(namespace, **chosen).start()

    return make


@pytest.fixture
def held(project, tmp_path):
    """A job that goes on when it is let go."""
    go = tmp_path / "go"
    return project(f"echo started\n{WAIT_FOR_GO.format(go=go)}\necho done"), go


def submitted(server, project):
    return server.ci("submit", "--async", str(project.path))


def ended(server, project) -> str:
    job_id = server.submit(project)
    server.until(job_id, "completed")
    return job_id


def has_reserve(disk) -> bool:
    return (disk.path / "ci_jobs.db.reserve").exists()


def test_submissions_are_refused_before_the_disk_is_full_and_what_runs_goes_on(
    disk, start, project, held
):
    """Fault 17, seen coming."""
    server = start()
    made, go = held
    job_id = server.submit(made)
    server.until_log(job_id, "started")

    disk.leave(12 * MIB)
    refused = submitted(server, project())
    assert refused.returncode == 3
    assert b"nearly full" in refused.stderr
    files = {"file": ("p.zip", b"PK", "application/zip")}
    answer = server.post("/submit-async", files=files)
    assert (answer.status_code, answer.headers["retry-after"]) == (507, "60")
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert "nearly full" in ready.json()["problems"]["disk"]
    assert [job["job_id"] for job in server.get("/jobs").json()] == [job_id]

    go.touch()
    assert server.until(job_id, "completed")["success"] is True
    assert server.text(job_id).endswith("started\ndone\n")

    disk.clear()
    assert submitted(server, project()).returncode == 0
    assert server.get("/ready").status_code == 200


def test_a_shortage_does_not_come_and_go(disk, start, project):
    server = start()
    disk.leave(12 * MIB)
    assert submitted(server, project()).returncode == 3
    disk.leave(17 * MIB)
    assert submitted(server, project()).returncode == 3
    disk.leave(19 * MIB)
    # To its end: what a server leaves behind in the middle of a job holds on to the disk.
    assert server.job(ended(server, project()))["success"] is True


def test_the_oldest_jobs_go_before_a_job_is_refused(disk, start, project):
    server = start(keep_at_least="1ms")
    old, kept = ended(server, project(BIG)), ended(server, project("echo short"))
    disk.leave(18 * MIB)
    eventually(lambda: server.get(f"/jobs/{old}").status_code == 404, what="the oldest has gone")
    assert submitted(server, project()).returncode == 0
    assert disk.free > 20 * MIB
    assert server.get(f"/jobs/{kept}").status_code == 200
    assert not (disk.path / "logs" / f"{old}.log").exists()


def test_a_disk_filled_to_the_last_byte_is_cleared_up_by_the_running_server(disk, start, project):
    server = start(keep_at_least="1ms", min_free_bytes="2m")
    oldest, newest = [ended(server, project(BIG)) for _ in range(2)]
    eventually(lambda: has_reserve(disk), what="the reserve is set aside")
    disk.fill()
    eventually(lambda: server.get(f"/jobs/{oldest}").status_code == 404, what="the oldest has gone")
    eventually(lambda: has_reserve(disk), what="the reserve is set aside again")
    # No more than was needed.
    assert len(server.text(newest)) > 4_000_000
    job_id = ended(server, project())
    assert server.job(job_id)["success"] is True
    assert check(server) == []


def test_a_server_starts_on_a_disk_that_is_full_and_clears_it_up(disk, start, project):
    server = start(keep_at_least="1ms", min_free_bytes="2m")
    job_id = ended(server, project(BIG))
    eventually(lambda: has_reserve(disk), what="the reserve is set aside")
    assert server.terminate() == 0
    disk.fill()
    assert disk.takes_no_more()
    server.restart()
    eventually(lambda: server.get(f"/jobs/{job_id}").status_code == 404, what="the job has gone")
    eventually(lambda: has_reserve(disk), what="the reserve is set aside again")
    assert submitted(server, project()).returncode == 0


def check(server) -> list[dict]:
    done = server.ci("admin", "check", "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_backup_that_does_not_fit_leaves_nothing(disk, servers, namespace, project):
    server = servers(namespace, executor="local").start()
    ended(server, project(BIG))
    disk.leave(2 * MIB)
    before = sorted(disk.path.iterdir())
    done = server.ci("admin", "backup", str(disk.path / "backup"))
    assert done.returncode == 3
    assert b"no room" in done.stderr
    assert sorted(disk.path.iterdir()) == before


class TestWhyThereIsAReserve:
    """A DELETE needs room, too."""

    @pytest.fixture
    async def full(self, disk):
        """A repository of large ended jobs, whose log in the database is short."""
        path = disk.path / "ci_jobs.db"
        reserve = Reserve(disk.path / "reserve", 4 * MIB)
        space = DiskSpace((disk.path,), min_free=1, reserve=reserve)
        repository = SQLiteJobRepository(path, space=space)
        await repository.initialize()
        fill_with_ended_jobs(path, 500)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE jobs SET stashed = 0, detail = printf('%.4000c', 'x')")
        clock = FakeClock()
        yield disk, repository, space, clock
        await repository.close()

    async def test_without_one_nothing_can_be_deleted(self, full):
        disk, repository, _, clock = full
        disk.fill()
        jobs = await repository.oldest_ended(limit=500, before=clock.now())
        with pytest.raises(StorageFull):
            await repository.forget([job.id for job in jobs])
        assert len(await repository.list_recent(limit=1000)) == 500

    async def test_with_one_it_works(self, full):
        disk, repository, space, clock = full
        space.keep_reserve()
        disk.fill()
        settings = RetentionSettings(keep_for=1.0)
        await Retention(repository, clock, settings, in_hand=()).apply()
        assert await repository.list_recent(limit=1000) == []
        assert not (disk.path / "reserve").exists()

    async def test_without_one_the_logs_make_the_room(self, full):
        disk, repository, _, clock = full
        jobs = await repository.oldest_ended(limit=500, before=clock.now())
        writer = repository.logs.open(jobs[0].id)
        writer.write(b"x" * 8 * MIB)
        writer.close()
        disk.fill()
        settings = RetentionSettings(keep_for=1.0)
        await Retention(repository, clock, settings, in_hand=()).apply()
        assert await repository.list_recent(limit=1000) == []
