"""A long history, made quickly."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

_FILL = """
INSERT INTO jobs (id, status, project, priority, recipe, created_wall, created_uptime,
    created_boot, zip_path, zip_size, zip_sha256, idempotency_key, fingerprint, attempt,
    max_attempts, started_wall, ended_wall, reason)
VALUES (:id, 'completed', 'demo', 0, '{}', :n, 0, '', 'a.zip', 1, '', 'key of ' || :id, '', 1, 3,
    :n, 2 * :n, 'passed')
"""


def fill_with_ended_jobs(path: Path, count: int) -> None:
    """Store ``count`` jobs that have ended, in one transaction.

    The job with the number n, from 0 on, came and started n microseconds after
    1970 began, and took n more.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        (there,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        numbers = range(there, there + count)
        connection.executemany(_FILL, ({"id": str(uuid.uuid4()), "n": n} for n in numbers))
