"""Accepted submissions per second, each durable before it is answered, against bare commits."""

import asyncio
import sqlite3
import uuid
from pathlib import Path

from bench.context import Context
from bench.measure import Comparison, Side, compare, timed
from ci_common.clock import SystemClock
from ci_common.jobs import NewJob
from ci_common.recipe import Recipe
from ci_persistence.jobs import SQLiteJobRepository

BATCH = 200
"""Submissions per timed run."""

PAYLOAD = b"x" * 20_000
"""Bytes of a stashed zip: a small project."""


def durable_submissions(context: Context) -> Comparison:
    """Time stash and row, as a submit writes them, against a bare FULL commit of such a row."""
    with asyncio.Runner() as runner:
        repository = SQLiteJobRepository(context.folder / "submissions" / "ci_jobs.db")
        runner.run(repository.initialize())
        bare = _bare_database(context.folder / "bare.db")
        ours = timed(lambda: runner.run(_submit_all(repository)))
        theirs = timed(lambda: _insert_all(bare))
        try:
            return compare(
                f"{BATCH} durable submissions",
                [
                    Side("stash with fsync, row, commit", ours),
                    Side("bare SQLite, one FULL commit each", theirs),
                ],
                pairs=context.pairs,
                amount=BATCH,
                unit="submissions",
            )
        finally:
            bare.close()
            runner.run(repository.close())


async def _submit_all(repository: SQLiteJobRepository) -> None:
    for _ in range(BATCH):
        await _submit_one(repository)


async def _submit_one(repository: SQLiteJobRepository) -> None:
    upload = repository.stash.new_upload()
    upload.write(PAYLOAD)
    job_id = str(uuid.uuid4())
    path = upload.commit(job_id)
    await repository.add(
        NewJob(
            id=job_id,
            recipe=Recipe(),
            zip_path=path,
            zip_size=upload.size,
            zip_sha256=upload.sha256(),
            created=SystemClock().now(),
        )
    )


def _bare_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, recipe TEXT)")
    return connection


def _insert_all(connection: sqlite3.Connection) -> None:
    for _ in range(BATCH):
        connection.execute("INSERT INTO jobs VALUES (?, ?)", (str(uuid.uuid4()), "{}" * 100))
