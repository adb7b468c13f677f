"""A database that cannot be ours is refused with the way out, and stays as it was."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ci_common.errors import DatabaseUnusable
from ci_persistence.jobs import SQLiteJobRepository
from ci_persistence.schema import APPLICATION_ID, load_migrations, upgrade
from tests.fakes.repository import new_job
from tests.unit.persistence.filling import fill_with_ended_jobs
from tests.unit.persistence.processes import run_python

NEWER = len(load_migrations()) + 1

CRASH = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("BEGIN IMMEDIATE")
for statement in sys.argv[2:]:
    connection.execute(statement)
connection.execute("COMMIT")
os.kill(os.getpid(), signal.SIGKILL)
"""

ADD_AND_CRASH = """
import asyncio, os, signal, sys
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.repository import new_job

async def main():
    repository = SQLiteJobRepository(sys.argv[1])
    await repository.initialize()
    job, _ = await repository.add(new_job())
    print(job.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def ours(path: Path, *statements: str) -> None:
    """Make a sound database of ours, then run ``statements`` on it."""
    upgrade(path, load_migrations(), busy_timeout=1)
    sql(path, *statements)


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def crashed(path: Path, *statements: str) -> None:
    """Commit ``statements`` and die: what they did is in the write-ahead log only."""
    code, _ = run_python(CRASH, path, *statements)
    assert code == -9
    assert path.with_name("jobs.db-wal").stat().st_size > 0


def with_rows(path: Path) -> None:
    ours(path)
    fill_with_ended_jobs(path, 1000)


def truncated(path: Path) -> None:
    with_rows(path)
    path.write_bytes(path.read_bytes()[:-20_000])


def garbled(path: Path) -> None:
    with_rows(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(content)


def only_the_log_left(path: Path) -> None:
    crashed(path, "CREATE TABLE t (a)")
    path.unlink()


def emptied_beside_its_log(path: Path) -> None:
    crashed(path, "CREATE TABLE t (a)")
    path.write_bytes(b"")


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("hello"), "not a SQLite database"),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), "not a SQLite database"),
    "noise": (lambda path: path.write_bytes(b"\xa5\x5a" * 8192), "not a SQLite database"),
    "truncated": (truncated, "damaged"),
    "garbled": (garbled, "damaged"),
    "newer": (lambda path: ours(path, f"PRAGMA user_version = {NEWER}"), "newer version"),
    "newer, still in the log of a crashed process": (
        lambda path: crashed(
            path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {NEWER}"
        ),
        "newer version",
    ),
    "ours, made newer by a crashed process": (
        lambda path: (ours(path), crashed(path, f"PRAGMA user_version = {NEWER}")),
        "newer version",
    ),
    "newer, with a log that does not say so": (
        lambda path: (
            ours(path, f"PRAGMA user_version = {NEWER}"),
            crashed(path, "UPDATE schema_migrations SET name = 'x'"),
        ),
        "newer version",
    ),
    "of another application": (
        lambda path: sql(path, "PRAGMA application_id = 7", "CREATE TABLE t (a)"),
        "another application",
    ),
    "of an application without an id": (
        lambda path: sql(path, "CREATE TABLE jobs (a)"),
        "another application",
    ),
    "of an application that only counts versions": (
        lambda path: sql(path, "PRAGMA user_version = 1"),
        "another application",
    ),
    "of a crashed application": (
        lambda path: crashed(path, "PRAGMA application_id = 7", "CREATE TABLE t (a)"),
        "another application",
    ),
    "made by an edited migration": (
        lambda path: ours(path, "UPDATE schema_migrations SET sha256 = 'other'"),
        "edited",
    ),
    "without a history": (
        lambda path: ours(path, "DROP TABLE schema_migrations"),
        "which migrations",
    ),
    "with half a history": (
        lambda path: ours(path, "DELETE FROM schema_migrations"),
        "which migrations",
    ),
    "gone, its log left": (only_the_log_left, "write-ahead log"),
    "emptied, its log left": (emptied_beside_its_log, "write-ahead log"),
}


async def refused(path: Path, *, match: str) -> DatabaseUnusable:
    """Try to open; return the refusal."""
    repository = SQLiteJobRepository(path)
    try:
        with pytest.raises(DatabaseUnusable, match=match) as refusal:
            await repository.initialize()
    finally:
        await repository.close()
    return refusal.value


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_what_cannot_be_used_is_refused_and_stays_as_it_was(path, kind):
    make, reason = UNUSABLE[kind]
    make(path)
    before = contents(path)

    refusal = await refused(path, match=reason)

    assert contents(path) == before
    assert path.name in refusal.detail
    assert refusal.hint


async def test_damage_beside_a_log_is_refused_and_the_log_is_not_rolled_in(path):
    garbled(path)
    crashed_copy = path.with_name("other.db")
    with_rows(crashed_copy)
    log = path.with_name("jobs.db-wal")
    code, _ = run_python(CRASH, crashed_copy, "CREATE TABLE t (a)")
    assert code == -9
    crashed_copy.with_name("other.db-wal").rename(log)
    before = {name: data for name, data in contents(path).items() if name.startswith("jobs.db")}

    await refused(path, match="damaged")

    # Only the index of the log, which SQLite makes anew whenever it is missing, may come.
    after = {name: data for name, data in contents(path).items() if name.startswith("jobs.db")}
    after.pop("jobs.db-shm", None)
    assert after == before


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        lambda path: path.write_bytes(b""),
        lambda path: sql(path, "PRAGMA journal_mode = WAL"),
        lambda path: sql(path, "VACUUM"),
        lambda path: crashed(path, "PRAGMA user_version = 0"),
        ours,
    ],
    ids=["absent", "empty", "only a header", "no tables", "crashed before the schema", "ours"],
)
async def test_what_is_empty_or_ours_is_used(path, make):
    make(path)
    repository = SQLiteJobRepository(path)
    await repository.initialize()
    await repository.add(new_job())
    await repository.close()


async def test_the_log_of_a_crashed_server_is_honoured(path):
    code, output = run_python(ADD_AND_CRASH, path)
    assert code == -9
    repository = SQLiteJobRepository(path)
    await repository.initialize()
    assert (await repository.find("last")).id == output.strip()
    await repository.close()


async def test_a_database_in_use_can_be_opened_again_and_again(path, repository):
    for _ in range(5):
        await repository.add(new_job())
        other = SQLiteJobRepository(path)
        await other.initialize()
        assert (await other.count()).queued == (await repository.count()).queued
        await other.close()
    assert (await repository.count()).queued == 5
