"""A database that this server cannot use: it says why, and leaves it to who can."""

import contextlib
import hashlib
import sqlite3

import pytest


@pytest.fixture
def used(servers, namespace, project):
    """A server that has run a job and was stopped in good order."""
    server = servers(namespace, executor="local").start()
    server.until(server.submit(project()), "completed")
    assert server.terminate() == 0
    return server


def make_newer(path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")


def garble(path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    path.write_bytes(content)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def overwrite(path) -> None:
    path.write_bytes(b"no database at all\n" * 1000)


@pytest.mark.parametrize(
    ("spoil", "says", "way_out"),
    [
        (make_newer, "newer version of Standby CI", "upgrade"),
        (garble, "damaged", "backup"),
        (cut, "damaged", "backup"),
        (overwrite, "not a SQLite database", "CI_DB_PATH"),
    ],
)
def test_it_is_refused_and_left_as_it_was(used, spoil, says, way_out):
    """Fault 22."""
    path = used.folder / "ci_jobs.db"
    spoil(path)
    before = files_of(used)
    for _ in range(2):
        done = used.ci("serve", "--host", "127.0.0.1", "--port", "0", timeout=60)
        assert done.returncode == 3
        stderr = done.stderr.decode()
        assert str(path) in stderr
        assert says in stderr
        assert way_out in stderr
        assert "Traceback" not in stderr
        assert files_of(used) == before
    checked = used.ci("doctor")
    assert checked.returncode == 3
    assert says in checked.stdout.decode()


def files_of(server) -> dict[str, str]:
    """Return what is in the server's folder, by hash; its log apart."""
    return {
        str(path.relative_to(server.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in server.folder.rglob("*")
        if path.is_file() and path != server.log
    }


def test_moving_it_away_begins_anew(used, project):
    """Fault 22. The way out that is named works, and so does the way back."""
    path = used.folder / "ci_jobs.db"
    sound = path.read_bytes()
    overwrite(path)
    assert used.ci("serve", "--port", "0", timeout=60).returncode == 3
    path.rename(path.with_suffix(".broken"))
    used.start()
    assert used.get("/jobs").json() == []
    assert used.terminate() == 0
    path.write_bytes(sound)
    used.start()
    assert [job["success"] for job in used.get("/jobs").json()] == [True]
