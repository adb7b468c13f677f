"""What blobs cost, and that the tables keep their promises to each other."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ci_common.blobs import Place
from ci_common.jobs import EndReason, Result
from ci_persistence.database import Database
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job

NOW = FakeClock().now()
SCOPE = bytes(32)


def blobs(count: int, pack: int) -> dict[bytes, Place]:
    hashes = (hashlib.sha256(b"%d" % number).digest() for number in range(count))
    return {blob: Place(pack, number, 1, 2, 8, 3) for number, blob in enumerate(hashes)}


@pytest.fixture
async def repository(tmp_path: Path):
    repository = SQLiteJobRepository(tmp_path / "jobs.db")
    await repository.initialize()
    yield repository
    await repository.close()


async def test_ten_thousand_blobs_are_found_by_one_query(repository, monkeypatch):
    await repository.blobs.add_pack(SCOPE, 1, 100, blobs(10_000, 1), NOW.wall)
    queries = []
    fetch_all = Database.fetch_all

    async def counting(self, sql, parameters=()):
        queries.append(sql)
        return await fetch_all(self, sql, parameters)

    monkeypatch.setattr(Database, "fetch_all", counting)
    assert await repository.blobs.locate(SCOPE, blobs(10_000, 1)) == blobs(10_000, 1)
    assert len(queries) == 1


async def test_each_is_found_by_the_index(repository, tmp_path):
    from ci_persistence.blobs import _LOCATE

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {_LOCATE}", {"scope": SCOPE, "hashes": bytes(64)}
        ).fetchall()
    steps = [row[3] for row in plan]
    assert "SEARCH blobs USING PRIMARY KEY (scope=? AND sha256=?)" in steps
    assert not any(step.startswith("SCAN blobs") for step in steps)


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return count


async def test_nothing_is_left_of_what_was_dropped(repository, tmp_path):
    await repository.blobs.add_pack(SCOPE, 1, 100, blobs(50, 1), NOW.wall)
    await repository.blobs.add_pack(bytes(31) + b"x", 2, 100, blobs(50, 2), NOW.wall)
    job, _ = await repository.add(new_job(packs=frozenset({1})))
    tables = ("scopes", "packs", "blobs", "job_packs")
    assert [rows(tmp_path / "jobs.db", name) for name in tables] == [2, 2, 100, 1]

    await repository.claim(job.id, attempt=0, now=NOW)
    done = Result(reason=EndReason.FAILED, exit_code=1)
    await repository.finish(job.id, attempt=1, result=done, now=NOW)
    assert rows(tmp_path / "jobs.db", "job_packs") == 1
    await repository.release([job.id])
    assert rows(tmp_path / "jobs.db", "job_packs") == 0

    for pack in await repository.blobs.packs():
        assert await repository.blobs.drop(pack)
    assert [rows(tmp_path / "jobs.db", name) for name in tables] == [0, 0, 0, 0]


async def test_no_statement_of_anybody_can_take_a_pack_from_its_job(repository, tmp_path):
    await repository.blobs.add_pack(SCOPE, 1, 100, blobs(1, 1), NOW.wall)
    await repository.add(new_job(packs=frozenset({1})))
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM packs")
