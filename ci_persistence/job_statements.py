"""The SQL of ``jobs.py``.

States are never spelled out here: they come from the transition table, and
every statement that changes one names the state it may be changed from. They
are part of the text, not bound, because only then can SQLite use the indexes
that hold nothing but queued or running jobs.
"""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from collections.abc import Iterable

from ci_common.jobs import Change, EndReason, JobStatus, next_status
from ci_common.results import ResultsState
from ci_persistence.job_rows import COLUMNS
from ci_persistence.quota_statements import may_run, places

_QUEUED = f"status = '{JobStatus.QUEUED}'"
_RUNNING = f"status = '{JobStatus.RUNNING}'"
_OF_ATTEMPT = " AND attempt = :attempt"
_NOW = "CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)"


def _move(source: JobStatus, change: Change, assignments: str) -> str:
    """Return the statement by which a job in ``source`` undergoes ``change``."""
    return (
        f"UPDATE jobs SET status = '{next_status(source, change)}', {assignments}"
        f" WHERE id = :id AND status = '{source}'"
    )


def _note(assignments: str) -> str:
    """Return the statement that records something about a running job."""
    return f"UPDATE jobs SET {assignments} WHERE id = :id AND {_RUNNING}"


def _end(source: JobStatus, change: Change) -> str:
    """Return the statement that ends a job in ``source``."""
    return _move(
        source,
        change,
        # What a stop was asked for with stays, where nothing better is known.
        "reason = :reason, exit_code = :exit_code, stashed = :stashed,"
        " detail = CASE WHEN stop_reason IS NULL THEN :detail ELSE coalesce(:detail, detail) END,"
        " ended_wall = :ended_wall, ended_uptime = :ended_uptime, ended_boot = :ended_boot",
    )


TAKE = (
    _move(
        JobStatus.QUEUED,
        Change.CLAIM,
        "attempt = attempt + 1, preparing = NULL, container = NULL, fed = 0, stop_reason = NULL,"
        " preparing_wall = NULL, container_wall = NULL, fed_wall = NULL,"
        " hold_until = NULL, started_wall = :started_wall, started_uptime = :started_uptime,"
        " started_boot = :started_boot",
    )
    + _OF_ATTEMPT
)
CLAIM = f"{TAKE} AND group_waits = 0 AND {may_run('jobs.organisation')}"
END = {
    change: _end(JobStatus.RUNNING, change) + _OF_ATTEMPT
    for change in (Change.FINISH, Change.CANCEL)
}
COLLECT = (
    f"INSERT INTO results (job, state) SELECT seq, '{ResultsState.PENDING}' FROM jobs WHERE id = ?"
)
REQUEUE = (
    _move(
        JobStatus.RUNNING,
        Change.REQUEUE,
        "faults = faults + :charged, detail = :detail, hold_until = :hold_until,"
        " started_wall = NULL, started_uptime = NULL, started_boot = NULL",
    )
    + _OF_ATTEMPT
    # Whoever asked for the stop must not see the job run again.
    + " AND stop_reason IS NULL"
)
CANCEL_QUEUED = _end(JobStatus.QUEUED, Change.CANCEL)
EXPIRE = CANCEL_QUEUED + " AND attempt = 0"
# The detail of an attempt before this one is not that of the stop.
ASK_TO_STOP = _note(
    "stop_reason = coalesce(stop_reason, :reason),"
    " detail = CASE WHEN stop_reason IS NULL THEN :detail ELSE detail END"
)
_LOG_BEGINS = "log_base = :log_base, log_settled = coalesce(:log_settled, :log_base)"
RECORD_PREPARING = (
    _note(f"preparing = :key, preparing_wall = coalesce(preparing_wall, {_NOW}), {_LOG_BEGINS}")
    + _OF_ATTEMPT
)
# Noted again when a new process takes the output up: the container waits since the first time.
RECORD_CONTAINER = (
    _note(
        f"container = :container, container_wall = coalesce(container_wall, {_NOW}), {_LOG_BEGINS}"
    )
    + _OF_ATTEMPT
)
RECORD_FED = _note(f"fed = 1, fed_wall = {_NOW}, image_id = :image_id") + _OF_ATTEMPT
RECORD_STOP = ASK_TO_STOP + _OF_ATTEMPT

LABEL = (
    "INSERT INTO job_labels (name, value, created, job)"
    " SELECT ?, ?, created_wall, seq FROM jobs WHERE id = ?"
)
BY_ID = f"SELECT {COLUMNS} FROM jobs WHERE id = ?"
BY_IDS = f"SELECT {COLUMNS} FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
_AMONG = "organisation IN (SELECT value FROM json_each(:within))"
_WITHIN = f"(:within IS NULL OR {_AMONG})"
BY_PREFIX = (
    f"SELECT {COLUMNS} FROM jobs WHERE id >= :first AND id < :beyond AND {_WITHIN}"
    " ORDER BY id LIMIT 2"
)
LAST = f"SELECT {COLUMNS} FROM jobs WHERE seq = (SELECT max(seq) FROM jobs)"
LAST_WITHIN = (
    f"SELECT {COLUMNS} FROM jobs WHERE seq = (SELECT max((SELECT seq FROM jobs WHERE"
    " organisation = asked.value AND organisation <> '' ORDER BY created_wall DESC, seq DESC"
    " LIMIT 1)) FROM json_each(:within) AS asked)"
)
BY_KEY = f"SELECT fingerprint, {COLUMNS} FROM jobs WHERE organisation = ? AND idempotency_key = ?"
RECENT = f"SELECT {COLUMNS} FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
ALL_RUNNING = f"SELECT {COLUMNS} FROM jobs WHERE {_RUNNING} ORDER BY seq"
UNCOLLECTED = (
    f"SELECT {COLUMNS} FROM jobs WHERE seq IN"
    f" (SELECT job FROM results WHERE state = '{ResultsState.PENDING}' ORDER BY job LIMIT ?)"
    " ORDER BY seq"
)
QUEUE_ORDER = "rank, seq"
"""In which order queued jobs start; see ``QueueRules``."""

_READY = f"{_QUEUED} AND group_waits = 0"
# From organisation to organisation, of each as many as may run: what waits behind them costs
# nothing. Each has its part of the index; the smallest of the rest is where the next begins.
STARTABLE = (
    "WITH RECURSIVE waiting (organisation) AS ("
    f"SELECT min(organisation) FROM jobs WHERE {_READY}"
    f" UNION ALL SELECT (SELECT min(organisation) FROM jobs WHERE {_READY}"
    " AND organisation > waiting.organisation) FROM waiting WHERE organisation IS NOT NULL"
    "), roomy (organisation, places) AS MATERIALIZED ("
    f"SELECT organisation, {places('waiting.organisation')} FROM waiting"
    " WHERE organisation IS NOT NULL"
    "), ready (seq, turn, places) AS ("
    "SELECT job.seq, row_number() OVER (PARTITION BY roomy.organisation"
    " ORDER BY job.rank, job.seq), places FROM roomy CROSS JOIN jobs AS job ON job.seq IN ("
    f"SELECT seq FROM jobs WHERE organisation = roomy.organisation AND {_READY}"
    " AND (hold_until IS NULL OR hold_until <= :now OR hold_until > :latest_hold)"
    f" ORDER BY {QUEUE_ORDER} LIMIT :limit) WHERE places > 0"
    f") SELECT {COLUMNS} FROM jobs WHERE seq IN (SELECT seq FROM ready WHERE turn <= places)"
    f" ORDER BY {QUEUE_ORDER} LIMIT :limit"
)
QUEUE = (
    f"SELECT {COLUMNS} FROM jobs WHERE {_QUEUED} ORDER BY {QUEUE_ORDER} LIMIT :limit OFFSET :skip"
)
# Of each organisation its first ones, of which the first are taken: others cost nothing.
QUEUE_WITHIN = (
    "WITH asked (owner) AS (SELECT value FROM json_each(:within))"
    f" SELECT {COLUMNS} FROM asked CROSS JOIN jobs ON jobs.seq IN ("
    f"SELECT seq FROM jobs WHERE organisation = owner AND organisation <> '' AND {_QUEUED}"
    f" ORDER BY {QUEUE_ORDER} LIMIT :skip + :limit)"
    f" ORDER BY {QUEUE_ORDER} LIMIT :limit OFFSET :skip"
)
# The condition has to be written as in the index, or SQLite does not use that.
_MEASURED = f"reason IN ('{EndReason.PASSED}', '{EndReason.FAILED}')"
DURATIONS = (
    "SELECT organisation, project, (job.ended_wall - job.started_wall) AS took"
    " FROM json_each(:projects) AS asked CROSS JOIN jobs AS job ON job.seq IN ("
    "SELECT seq FROM jobs WHERE organisation = json_extract(asked.value, '$[0]')"
    f" AND project = json_extract(asked.value, '$[1]') AND {_MEASURED}"
    " ORDER BY ended_wall DESC, seq DESC LIMIT :latest)"
)
LATEST_DURATIONS = (
    "SELECT organisation, NULL AS project, (job.ended_wall - job.started_wall) AS took"
    " FROM json_each(:organisations) AS asked CROSS JOIN jobs AS job ON job.seq IN ("
    f"SELECT seq FROM jobs WHERE organisation = asked.value AND {_MEASURED}"
    " ORDER BY ended_wall DESC, seq DESC LIMIT :latest)"
)
OVERDUE = (
    f"SELECT {COLUMNS} FROM jobs WHERE {_QUEUED} AND attempt = 0 AND queue_deadline <= :wall"
    " AND NOT (created_boot IS :boot AND created_uptime + queue_timeout > :uptime)"
    " ORDER BY queue_deadline LIMIT :limit"
)
LATEST_QUEUED = (
    "SELECT arrived, created_wall, created_uptime, created_boot FROM jobs"
    f" WHERE {_QUEUED} ORDER BY seq DESC LIMIT 1"
)
OWN_BASES = (
    "SELECT (SELECT base FROM jobs WHERE organisation = :organisation AND submitter = :submitter"
    " AND reason IS NULL AND priority = json_each.value ORDER BY base DESC LIMIT 1)"
    " FROM json_each(:priorities)"
)
"""The latest of a submitter's unfinished jobs of each priority, None where there is none."""

MOST_SHARERS = 100
"""Submitters of an organisation that are counted: a submission's cost has to have a bound."""

# From one name to the next along the index, however many jobs each has.
OTHER_SHARERS = (
    "WITH RECURSIVE sharing (name) AS ("
    "SELECT min(submitter) FROM jobs INDEXED BY jobs_submitter"
    " WHERE organisation = :organisation AND reason IS NULL"
    " UNION ALL SELECT (SELECT min(submitter) FROM jobs INDEXED BY jobs_submitter"
    " WHERE organisation = :organisation AND reason IS NULL AND submitter > sharing.name)"
    f" FROM sharing WHERE sharing.name IS NOT NULL LIMIT {MOST_SHARERS})"
    " SELECT count(*) FROM sharing WHERE name <> :submitter"
)

UNFINISHED_OF_GROUP = (
    "SELECT id FROM jobs WHERE organisation = :organisation AND project = :project"
    " AND concurrency_group = :name AND concurrency_group <> '' AND reason IS NULL"
)
POSITION = (
    "SELECT"
    f" (SELECT count(*) FROM jobs WHERE {_QUEUED} AND rank < mine.rank)"
    f" + (SELECT count(*) FROM jobs WHERE {_QUEUED} AND rank = mine.rank"
    " AND seq <= mine.seq)"
    f" FROM jobs AS mine WHERE mine.id = ? AND mine.{_QUEUED}"
)
POSITIONS = (
    f"WITH queue AS (SELECT seq, row_number() OVER (ORDER BY {QUEUE_ORDER}) AS position"
    f" FROM jobs WHERE {_QUEUED})"
    " SELECT jobs.id, queue.position FROM queue JOIN jobs ON jobs.seq = queue.seq"
    " WHERE queue.seq IN"
    " (SELECT seq FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)))"
)
COUNT = (
    f"SELECT (SELECT count(*) FROM jobs WHERE {_QUEUED}) AS queued,"
    f" (SELECT count(*) FROM jobs WHERE {_RUNNING}) AS running"
)
# Those that run are few, whosever they are.
COUNT_WITHIN = (
    f"SELECT (SELECT count(*) FROM jobs INDEXED BY jobs_queued_of_organisation"
    f" WHERE {_QUEUED} AND organisation <> '' AND {_AMONG}) AS queued,"
    f" (SELECT count(*) FROM jobs WHERE {_RUNNING} AND {_AMONG}) AS running"
)
TOTALS = (
    "SELECT name, reason, value FROM job_totals UNION ALL"
    f" SELECT 'queued', '', count(*) FROM jobs WHERE {_QUEUED} UNION ALL"
    f" SELECT 'running', '', count(*) FROM jobs WHERE {_RUNNING} UNION ALL"
    " SELECT 'oldest', '', created_wall FROM jobs"
    f" WHERE seq = (SELECT min(seq) FROM jobs WHERE {_QUEUED})"
)
SECONDS = "SELECT name, bound, count, sum FROM job_seconds ORDER BY name, bound"

OLDEST_ENDED = (
    f"SELECT {COLUMNS} FROM jobs WHERE ended_wall < :wall"
    " AND NOT (ended_boot IS :boot AND ended_uptime >= :uptime)"
    " ORDER BY ended_wall LIMIT :limit"
)
SHED = (
    "DELETE FROM tests WHERE (job, number) IN (SELECT job, number FROM tests WHERE job IN"
    " (SELECT seq FROM jobs WHERE ended_wall IS NOT NULL AND id IN"
    " (SELECT value FROM json_each(:ids))) LIMIT :limit)"
)
OLDEST_STASHED = OLDEST_ENDED.replace(
    "WHERE ended_wall <", "WHERE ended_wall IS NOT NULL AND stashed = 1 AND ended_wall <"
)
STASHED_BYTES = (
    "SELECT coalesce(sum(zip_size), 0) FROM jobs WHERE ended_wall IS NOT NULL AND stashed = 1"
)
RELEASE = (
    "UPDATE jobs SET stashed = 0 WHERE ended_wall IS NOT NULL AND stashed = 1"
    " AND id IN (SELECT value FROM json_each(?))"
)
PACKS_OF = (
    "SELECT (SELECT json_group_array(pack) FROM job_packs WHERE job = jobs.seq)"
    " FROM jobs WHERE id = ? AND stashed = 1"
)
FORGET = "DELETE FROM jobs WHERE ended_wall IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
NEWEST_RESTORE = "SELECT token FROM restores ORDER BY rowid DESC LIMIT 1"


def insert(columns: Iterable[str]) -> str:
    """Return the statement that stores a job, with a parameter for each column."""
    names = tuple(columns)
    return f"INSERT INTO jobs ({', '.join(names)}) VALUES ({', '.join(f':{n}' for n in names)})"
