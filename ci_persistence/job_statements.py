"""The SQL of ``jobs.py``.

States are never spelled out here: they come from the transition table, and
every statement that changes one names the state it may be changed from. They
are part of the text, not bound, because only then can SQLite use the indexes
that hold nothing but queued or running jobs.
"""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from collections.abc import Iterable

from ci_common.jobs import Change, JobStatus, next_status, sources
from ci_persistence.job_rows import COLUMNS

_QUEUED = f"status = '{JobStatus.QUEUED}'"
_RUNNING = f"status = '{JobStatus.RUNNING}'"


def _move(change: Change, assignments: str) -> str:
    """Return the statement by which ``attempt`` makes a job undergo ``change``."""
    (source,) = sources(change)
    return (
        f"UPDATE jobs SET status = '{next_status(source, change)}', {assignments}"
        f" WHERE id = :id AND attempt = :attempt AND status = '{source}'"
    )


def _note(assignments: str) -> str:
    """Return the statement by which ``attempt`` records something about a running job."""
    return f"UPDATE jobs SET {assignments} WHERE id = :id AND attempt = :attempt AND {_RUNNING}"


CLAIM = _move(
    Change.CLAIM,
    "attempt = attempt + 1, container = NULL, fed = 0, stop_reason = NULL, hold_until = NULL,"
    " started_wall = :started_wall, started_uptime = :started_uptime, started_boot = :started_boot",
)
FINISH = _move(
    Change.FINISH,
    "reason = :reason, exit_code = :exit_code, detail = :detail,"
    " ended_wall = :ended_wall, ended_uptime = :ended_uptime, ended_boot = :ended_boot",
)
REQUEUE = _move(
    Change.REQUEUE,
    "faults = faults + :charged, detail = :detail, hold_until = :hold_until,"
    " started_wall = NULL, started_uptime = NULL, started_boot = NULL",
)
RECORD_CONTAINER = _note("container = :container, log_base = :log_base")
RECORD_FED = _note("fed = 1")
RECORD_STOP = _note("stop_reason = coalesce(stop_reason, :reason)")

BY_ID = f"SELECT {COLUMNS} FROM jobs WHERE id = ?"
BY_IDS = f"SELECT {COLUMNS} FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
BY_PREFIX = f"SELECT {COLUMNS} FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
BY_KEY = f"SELECT fingerprint, {COLUMNS} FROM jobs WHERE idempotency_key = ?"
RECENT = f"SELECT {COLUMNS} FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
ALL_RUNNING = f"SELECT {COLUMNS} FROM jobs WHERE {_RUNNING} ORDER BY seq"
STARTABLE = (
    f"SELECT {COLUMNS} FROM jobs WHERE {_QUEUED}"
    " AND (hold_until IS NULL OR hold_until <= :now OR hold_until > :latest_hold)"
    " ORDER BY priority DESC, seq LIMIT :limit"
)
POSITION = (
    "SELECT"
    f" (SELECT count(*) FROM jobs WHERE {_QUEUED} AND priority > mine.priority)"
    f" + (SELECT count(*) FROM jobs WHERE {_QUEUED} AND priority = mine.priority"
    " AND seq <= mine.seq)"
    f" FROM jobs AS mine WHERE mine.id = ? AND mine.{_QUEUED}"
)
COUNT = (
    f"SELECT (SELECT count(*) FROM jobs WHERE {_QUEUED}) AS queued,"
    f" (SELECT count(*) FROM jobs WHERE {_RUNNING}) AS running"
)

OLDEST_ENDED = (
    f"SELECT {COLUMNS} FROM jobs WHERE ended_wall < :wall"
    " AND NOT (ended_boot IS :boot AND ended_uptime >= :uptime)"
    " ORDER BY ended_wall LIMIT :limit"
)
FORGET = "DELETE FROM jobs WHERE ended_wall IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
NEWEST_RESTORE = "SELECT token FROM restores ORDER BY rowid DESC LIMIT 1"


def insert(columns: Iterable[str]) -> str:
    """Return the statement that stores a job, with a parameter for each column."""
    names = tuple(columns)
    return f"INSERT INTO jobs ({', '.join(names)}) VALUES ({', '.join(f':{n}' for n in names)})"
