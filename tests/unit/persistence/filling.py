"""A long history, made quickly."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

_FILL = """
INSERT INTO jobs (id, status, project, priority, recipe, created_wall, created_uptime,
    created_boot, zip_path, zip_size, zip_sha256, idempotency_key, fingerprint, attempt,
    max_attempts, started_wall, ended_wall, reason)
VALUES (?, 'completed', 'demo', 0, '{}', 0, 0, '', 'a.zip', 1, '', ?, '', 1, 3, 0, 0, 'passed')
"""


def fill_with_ended_jobs(path: Path, count: int) -> None:
    """Store ``count`` jobs that have ended, in one transaction."""
    ids = (str(uuid.uuid4()) for _ in range(count))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(_FILL, ((job_id, f"key of {job_id}") for job_id in ids))
