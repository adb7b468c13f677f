"""What must hold of a server's data, seen from outside, whatever was done to the server.

Functions return what is wrong, in words; an empty list means that nothing is.
They open the database for themselves and hold nothing between two calls, so
they may be used beside a running server, after each step of a simulation, or
when everything has ended.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci_common.jobs import TRANSITIONS, JobStatus
from ci_common.project_tree import pack_name

_WATCH = """
CREATE TABLE IF NOT EXISTS watched (
    number INTEGER PRIMARY KEY, job TEXT NOT NULL, was TEXT, is_now TEXT, attempt INTEGER
);
CREATE TRIGGER IF NOT EXISTS watch_new AFTER INSERT ON jobs BEGIN
    INSERT INTO watched (job, was, is_now, attempt) VALUES (NEW.id, NULL, NEW.status, NEW.attempt);
END;
CREATE TRIGGER IF NOT EXISTS watch_moves AFTER UPDATE ON jobs
WHEN OLD.status <> NEW.status OR (
    OLD.reason IS NOT NULL AND NOT (
        -- Its project is given up, and nothing else.
        OLD.stashed > NEW.stashed
        AND (OLD.reason, OLD.exit_code, OLD.detail, OLD.attempt, OLD.ended_wall)
            IS (NEW.reason, NEW.exit_code, NEW.detail, NEW.attempt, NEW.ended_wall)
    )
) BEGIN
    INSERT INTO watched (job, was, is_now, attempt)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.attempt);
END;
CREATE TRIGGER IF NOT EXISTS watch_losses AFTER DELETE ON jobs BEGIN
    INSERT INTO watched (job, was, is_now, attempt) VALUES (OLD.id, OLD.status, NULL, OLD.attempt);
END;
"""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a job must have come to. ``faults`` are those charged to it; any ``attempt`` if None."""

    reason: str
    exit_code: int | None
    log: bytes
    attempt: int | None = 1
    faults: int = 0


def watch_moves(database: Path) -> None:
    """Have the database itself note whatever happens to the state of a job. Idempotent."""
    with _open(database) as connection:
        connection.executescript(_WATCH)


def forbidden_moves(database: Path, *, ended_may_go: bool = False) -> list[str]:
    """Return the moves since ``watch_moves`` that no job may make: above all, out of its end.

    ``ended_may_go``: whether jobs that have ended may be removed.
    """
    with _open(database) as connection:
        return forbidden_moves_in(connection, ended_may_go=ended_may_go)


def forbidden_moves_in(connection: sqlite3.Connection, *, ended_may_go: bool = False) -> list[str]:
    """Return the same, for who looks at more through one connection."""
    moves = connection.execute("SELECT job, was, is_now FROM watched ORDER BY number")
    return [
        f"job {job} went from {was} to {is_now}"
        for job, was, is_now in moves
        if not (_allowed(was, is_now) or (ended_may_go and _goes_ended(was, is_now)))
    ]


def _allowed(was: str | None, is_now: str | None) -> bool:
    if was is None:
        return is_now == JobStatus.QUEUED
    return is_now in TRANSITIONS[JobStatus(was)].values()


def _goes_ended(was: str | None, is_now: str | None) -> bool:
    return is_now is None and was is not None and JobStatus(was).ended


def unsound(database: Path) -> list[str]:
    """Return what SQLite finds wrong with its file."""
    with _open(database) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        references = connection.execute("PRAGMA foreign_key_check").fetchall()
    return [problem for problem in found if problem != "ok"] + [
        f"no parent: {r}" for r in references
    ]


def differing(database: Path, data_dir: Path, endings: Mapping[str, Ending]) -> list[str]:
    """Return what is not as it must be of the jobs that are in ``endings`` by id."""
    problems = []
    with _open(database) as connection:
        rows = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT id, status, reason, exit_code, attempt, faults FROM jobs"
            )
        }
    for job_id, ending in endings.items():
        status = JobStatus.CANCELLED if ending.reason == "cancelled" else JobStatus.COMPLETED
        row = rows.get(job_id, (None,) * 5)
        attempt = row[3] if ending.attempt is None else ending.attempt
        wanted = (status, ending.reason, ending.exit_code, attempt, ending.faults)
        if row != wanted:
            problems.append(f"job {job_id} is {row} instead of {wanted}")
        log = log_of(data_dir, job_id)
        if log != ending.log:
            problems.append(f"the log of {job_id} is {log!r} instead of {ending.log!r}")
    return problems


def log_of(data_dir: Path, job_id: str) -> bytes:
    """Return a job's log as it is on disk."""
    path = data_dir / "logs" / f"{job_id}.log"
    return path.read_bytes() if path.exists() else b""


def leftovers(database: Path, data_dir: Path) -> list[str]:
    """Return the files that no job needs, and those that one needs and lacks.

    Right after a crash there may be some; after a few ticks, and the grace
    period for what nobody knows, there may be none.
    """
    with _open(database) as connection:
        jobs = dict(connection.execute("SELECT id, reason IS NULL FROM jobs"))
        kept = {row[0] for row in connection.execute("SELECT id FROM jobs WHERE stashed")}
        packs = {pack_name(row[0]) for row in connection.execute("SELECT id FROM packs")}
    unfinished = {job for job, waiting in jobs.items() if waiting}
    stashed = {path.stem for path in _files(data_dir / "stash")}
    packed = {path.name for path in _files(data_dir / "packs")}
    logs = {path.stem for path in _files(data_dir / "logs")}
    return [
        *(f"temporary file {path.name}" for path in _files(data_dir / "tmp")),
        *(f"stash of {job}, which nothing needs" for job in stashed - kept),
        *(f"no stash of {job}, which is to run" for job in unfinished - stashed),
        *(f"pack {pack} without a row" for pack in packed - packs),
        *(f"row without its pack {pack}" for pack in packs - packed),
        *(f"log of {job}, which there is not" for job in logs - jobs.keys()),
    ]


@dataclass
class GrowingLogs:
    """The logs of a data directory as they were at the last look: bytes may only be added."""

    data_dir: Path
    _seen: dict[str, bytes] = field(default_factory=dict)

    def rewritten(self) -> list[str]:
        """Return which logs lost or changed bytes that they had at the last look."""
        now = {path.name: path.read_bytes() for path in _files(self.data_dir / "logs")}
        before, self._seen = self._seen, now
        return [name for name, log in before.items() if not now.get(name, b"").startswith(log)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        yield connection
