"""The checks of invariants find what they are there to find."""

import sqlite3
from contextlib import closing

import pytest

from ci_common.jobs import EndReason, JobStatus, Result
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job
from tests.invariants import (
    Ending,
    GrowingLogs,
    differing,
    forbidden_moves,
    leftovers,
    unsound,
    watch_moves,
)

NOW = FakeClock().now()
PASSED = Result(reason=EndReason.PASSED, exit_code=0)
LOG = b"line\n"
NOT_ENDED = ", ".join(
    f"{name} = NULL" for name in ("reason", "exit_code", "ended_wall", "ended_uptime", "ended_boot")
)
AS_PASSED = Ending(reason="passed", exit_code=0, log=LOG)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "ci_jobs.db"


@pytest.fixture
async def job_id(database):
    """A job that has passed under watch, and left a log."""
    repository = SQLiteJobRepository(database)
    await repository.initialize()
    watch_moves(database)
    try:
        job, _ = await repository.add(new_job())
        await repository.claim(job.id, attempt=0, now=NOW)
        await repository.requeue(job.id, attempt=1, charged=False, detail="")
        await repository.claim(job.id, attempt=1, now=NOW)
        await repository.finish(job.id, attempt=2, result=PASSED, now=NOW)
        writer = repository.logs.open(job.id)
        writer.write(LOG)
        writer.close()
    finally:
        await repository.close()
    return job.id


def write(database, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def test_ended_jobs_may_go_where_that_is_so(database, job_id):
    write(database, "DELETE FROM jobs")
    assert forbidden_moves(database) == [f"job {job_id} went from completed to None"]
    assert forbidden_moves(database, ended_may_go=True) == []


def test_a_job_that_has_not_ended_may_never_go(database, job_id):
    write(database, f"UPDATE jobs SET status = 'queued', {NOT_ENDED}")
    write(database, "DELETE FROM jobs")
    assert f"job {job_id} went from queued to None" in forbidden_moves(database, ended_may_go=True)


def test_a_job_that_went_its_way_is_in_order(database, job_id):
    watch_moves(database)
    assert forbidden_moves(database) == []
    assert unsound(database) == []
    assert leftovers(database, database.parent) == []
    ending = Ending(reason="passed", exit_code=0, log=LOG, attempt=2)
    assert differing(database, database.parent, {job_id: ending}) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET exit_code = 0",
        "UPDATE jobs SET status = 'cancelled'",
        "UPDATE jobs SET status = 'queued', reason = NULL, ended_wall = NULL",
        "DELETE FROM jobs",
    ],
)
def test_an_end_that_is_touched_is_seen(database, job_id, statement):
    write(database, statement)
    assert len(forbidden_moves(database)) == 1


def test_a_row_that_refers_to_nothing_is_seen(database, job_id):
    write(database, "INSERT INTO job_packs VALUES (1, 77)")
    assert unsound(database) != []


@pytest.mark.parametrize(
    "ending",
    [
        Ending(reason="failed", exit_code=0, log=LOG, attempt=None),
        Ending(reason="passed", exit_code=1, log=LOG, attempt=None),
        Ending(reason="passed", exit_code=0, log=LOG * 2, attempt=None),
        Ending(reason="passed", exit_code=0, log=LOG),
        Ending(reason="passed", exit_code=0, log=LOG, attempt=2, faults=1),
    ],
)
def test_another_end_is_seen(database, job_id, ending):
    assert len(differing(database, database.parent, {job_id: ending})) == 1


def test_a_lost_job_is_seen(database, job_id):
    problems = differing(database, database.parent, {"another": AS_PASSED})
    assert any(f"is {(None,) * 5}" in problem for problem in problems)


@pytest.mark.parametrize("place", ["tmp/upload-1.zip", "stash/1.tree", "packs/1.zip", "logs/1.log"])
def test_a_file_that_nobody_needs_is_seen(database, job_id, place):
    path = database.parent / place
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert len(leftovers(database, database.parent)) == 1


def test_the_stash_of_a_job_that_has_ended_is_seen(database, job_id):
    path = database.parent / "stash" / f"{job_id}.zip"
    path.parent.mkdir()
    path.touch()
    assert leftovers(database, database.parent) == []  # kept for a retry
    write(database, "UPDATE jobs SET stashed = 0")
    assert len(leftovers(database, database.parent)) == 1


def test_a_stash_that_is_missing_is_seen(database, job_id):
    write(
        database,
        f"UPDATE jobs SET status = '{JobStatus.QUEUED}', reason = NULL, ended_wall = NULL",
    )
    assert len(leftovers(database, database.parent)) == 1


@pytest.mark.parametrize(("now", "rewritten"), [(b"line\nmore", 0), (b"lin", 1), (b"LINE\nx", 1)])
def test_a_log_may_only_grow(database, job_id, now, rewritten):
    logs = GrowingLogs(database.parent)
    assert logs.rewritten() == []
    (database.parent / "logs" / f"{job_id}.log").write_bytes(now)
    assert len(logs.rewritten()) == rewritten
