"""Databases of ours with many jobs in them, made quickly."""

import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from ci_common.clock import SystemClock
from ci_common.jobs import Change, EndReason, JobStatus, NewJob, next_status
from ci_common.recipe import Recipe
from ci_persistence.job_rows import columns_of, moment_columns
from ci_persistence.job_statements import insert
from ci_persistence.schema import load_migrations, upgrade

_RECIPE = Recipe(
    dependencies=("ci_pip -r requirements.txt", "ci_need pytest"),
    dependency_files=("requirements.txt", "pyproject.toml"),
    project=("ci_pip -e .",),
    notes=("pyproject.toml: a project to install, with the extra test", "runs: python -m pytest"),
)
"""Of the usual size: it is read with every row."""


def fill(path: Path, count: int, *, ended: bool) -> list[str]:
    """Make a database at ``path`` with ``count`` jobs, ``ended`` or queued; return some ids."""
    upgrade(path, load_migrations(), busy_timeout=5.0)
    row = _row(ended=ended)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nothing is lost with it: whoever interrupts this does not want the database.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.executemany(insert(row), (row | _names() for _ in range(count)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Now, and not by the kernel while somebody measures.
        os.sync()
        every = max(1, count // 1000)
        found = connection.execute("SELECT id FROM jobs WHERE seq % ? = 0", (every,))
        return [name for (name,) in found]


def _row(*, ended: bool) -> dict[str, object]:
    now = SystemClock().now()
    new = NewJob(
        id="",
        recipe=_RECIPE,
        zip_path="stash/project.zip",
        zip_size=10_000,
        zip_sha256="0" * 64,
        created=now,
    )
    queued = {**columns_of(new), "status": JobStatus.QUEUED.value}
    if not ended:
        return queued
    return {
        **queued,
        **moment_columns("started", now),
        **moment_columns("ended", now),
        "status": next_status(JobStatus.RUNNING, Change.FINISH).value,
        "attempt": 1,
        "reason": EndReason.PASSED.value,
        "exit_code": 0,
    }


def _names() -> dict[str, str]:
    name = str(uuid.uuid4())
    return {"id": name, "idempotency_key": f"key of {name}"}
