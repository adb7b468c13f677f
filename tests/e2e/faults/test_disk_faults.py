"""Disks that are full, and a database that somebody else holds on to."""

import contextlib
import os
import sqlite3
from pathlib import Path

import httpx2
import pytest

from tests.e2e.faults import sandbox
from tests.e2e.faults.sandbox import fill, make_file_system
from tests.waiting import eventually

MEGABYTE = 1024 * 1024


@pytest.fixture
def small_disk(own_engine, folder):
    """Make a server see a small file system at a folder of its own; return it as seen from here."""

    def make(server, name: str, size: int = 8 * MEGABYTE):
        place = server.folder / name
        place.mkdir(exist_ok=True)
        image = make_file_system(folder / f"{name}.img", size)
        own_engine.sandbox.mount(image, place)
        server.prefix = tuple(own_engine.sandbox.entering("mount"))
        return own_engine.sandbox.path(place)

    return make


def post(server, size: int) -> httpx2.Response:
    """Submit a project whose zip has about ``size`` bytes."""
    from tests.e2e.test_faults import post_bytes, zip_of

    recipe = "install = []\ncommand = 'true'\n"
    # Hexadecimal digits of noise shrink to about half.
    return post_bytes(server, zip_of(**{"ci.toml": recipe, "noise": os.urandom(size).hex()}))


def files_below(*folders) -> list[str]:
    return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def test_the_stash_disk_is_full(own_engine, server_on, small_disk, waiting):
    """Fault 17: 507, nothing left of the upload, and the job that runs takes no notice."""
    server = server_on()
    disk = small_disk(server, "data")
    logs = server.folder / "logs"
    logs.mkdir()
    own_engine.sandbox.run("mkdir", str(server.folder / "data" / "logs"))
    own_engine.sandbox.run("mount", "--bind", str(logs), str(server.folder / "data" / "logs"))
    server.settings["CI_DATA_DIR"] = str(server.folder / "data")
    server.start()
    running = server.submit(waiting())
    server.until_log(running, "started")
    ballast = fill(disk, leave=MEGABYTE // 2)
    for size in (MEGABYTE, 20 * MEGABYTE):
        answer = post(server, size)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert files_below(disk / "tmp", disk / "stash") == [f"{running}.zip"]
    assert [job["job_id"] for job in server.get("/jobs").json()] == [running]
    own_engine.go(running)
    assert server.until(running, "completed")["success"] is True
    ballast.unlink()
    assert server.until(post(server, MEGABYTE).json()["job_id"], "completed")["success"] is True


def test_the_database_disk_is_full(own_engine, server_on, small_disk, waiting):
    """Fault 18: what is there can be read, submissions are turned away, results come later."""
    server = server_on(max_running="1")
    disk = small_disk(server, "db")
    server.settings["CI_DB_PATH"] = str(server.folder / "db" / "ci_jobs.db")
    server.settings["CI_DATA_DIR"] = str(server.folder)
    server.start()
    running, queued = server.submit(waiting()), server.submit(waiting())
    server.until_log(running, "started")
    ballast = fill(disk)
    answer = post(server, 1000)
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_full"
    assert answer.headers["retry-after"]
    assert sorted(files_below(server.folder / "tmp", server.folder / "stash")) == sorted(
        f"{job_id}.zip" for job_id in (running, queued)
    )
    own_engine.go(running)
    server.until_log(running, "done")
    assert server.job(running)["status"] == "running"
    assert server.job(queued)["position"] == 1
    assert len(server.get("/jobs").json()) == 2
    ballast.unlink()
    assert server.until(running, "completed")["success"] is True
    server.until_log(queued, "started")
    own_engine.go(queued)
    assert server.until(queued, "completed")["success"] is True
    assert post(server, 1000).status_code == 200
    with contextlib.closing(sqlite3.connect(disk / "ci_jobs.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("room_again", [True, False])
def test_the_log_disk_is_full(own_engine, server_on, small_disk, project, room_again):
    """Fault 19: the job goes on; its log is a beginning of the output, and says so."""
    server = server_on()
    disk = small_disk(server, "logs")
    server.start()
    lines = "".join(f"line {number}\n" for number in range(70_000))
    script = "i=0; while [ $i -lt 70000 ]; do echo line $i; i=$((i+1)); done"
    wait = "until [ -e /tmp/go ]; do sleep 0.05; done"
    ballast = fill(disk, leave=MEGABYTE // 2)
    job_id = server.submit(project(f"{script}\ntouch /tmp/written\n{wait}\nexit 3"))
    eventually(lambda: _has_written(own_engine, job_id), what="all is written", timeout=180)
    if room_again:
        ballast.unlink()
    own_engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("failed", 3)
    text = server.text(job_id)
    output, marker, _ = text[text.index("line 0\n") :].partition("[ci] The disk was full: ")
    assert lines.startswith(output.removesuffix("\n"))
    assert marker or not room_again
    if not room_again:
        ballast.unlink()
    assert server.until(post(server, 1000).json()["job_id"], "completed")["success"] is True


def _has_written(own_engine, job_id: str) -> bool:
    container = own_engine.seen.of(job_id)
    if container is None or container.status != "running":
        return False
    return container.exec_run(["cat", "/tmp/written"]).exit_code == 0


@pytest.fixture
def held_database():
    """Hold a server's database as another program may, until told to let go."""
    with contextlib.ExitStack() as stack:

        def hold(server) -> sqlite3.Connection:
            connection = sqlite3.connect(server.folder / "ci_jobs.db", isolation_level=None)
            stack.enter_context(contextlib.closing(connection))
            connection.execute("BEGIN IMMEDIATE")
            return connection

        yield hold


def test_somebody_else_writes_for_long(servers, namespace, held_database, project):
    """Fault 20: writes wait for a bounded time, then are turned away; reads do not wait."""
    server = servers(namespace, executor="local").start()
    before = server.submit(project())
    server.until(before, "completed")
    outsider = held_database(server)
    answer = post(server, 1000)  # within the client's own minute
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_busy")
    assert answer.headers["retry-after"]
    assert server.job(before)["success"] is True
    assert server.get("/health").status_code == 200
    assert files_below(server.folder / "tmp", server.folder / "stash") == []
    outsider.execute("ROLLBACK")
    assert server.until(post(server, 1000).json()["job_id"], "completed")["success"] is True


def test_sandboxes_leave_nothing(folder):
    """What is mounted in a sandbox is seen by nobody else and gone with it."""
    from tests.e2e.faults.conftest import require

    require(sandbox.problem())
    place = folder / "disk"
    place.mkdir()
    room = sandbox.Sandbox().power_on()
    try:
        room.mount(make_file_system(folder / "disk.img", MEGABYTE), place)
        (room.path(place) / "file").touch()
        assert list(place.iterdir()) == []
        assert str(place) not in Path("/proc/mounts").read_text()
    finally:
        room.power_off()
    assert not Path(f"/proc/{room.init}").exists()
