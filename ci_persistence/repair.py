"""Mending what ``check`` finds, one finding at a time, beside a running server or not.

Each repair looks again before it changes anything: what has changed since the
finding is left alone. Rows are only moved along the transition table, by the
statements that the server uses.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from ci_common.errors import CIError, InvalidTransition, StorageFull
from ci_common.jobs import Change, EndReason, JobStatus
from ci_persistence import job_statements as sql
from ci_persistence.check import Premises
from ci_persistence.check_accounts import make_organisation_again
from ci_persistence.check_files import OTHERS, is_known_pack
from ci_persistence.connections import reading, writing
from ci_persistence.findings import Finding, Kind
from ci_persistence.held_files import unlink_unless_held
from ci_persistence.job_rows import moment_columns
from ci_persistence.logs import FileLogStore

_LOST_LOG = "[ci] The log of this job was lost.\n"

_ROW = "SELECT status, attempt, log_base, zip_path, stashed FROM jobs WHERE id = ?"
_CLEAR_RECIPE = "UPDATE jobs SET recipe = '{}' WHERE id = ?"
_MOVE_ZIP = "UPDATE jobs SET zip_path = ? WHERE id = ? AND ended_wall IS NULL"
_FORGET_ARTIFACTS = "DELETE FROM artifacts WHERE job = (SELECT seq FROM jobs WHERE id = ?)"
_MOVE_LOG_BASE = "UPDATE jobs SET log_base = ? WHERE id = ? AND attempt = ? AND log_base > ?"


def repair(premises: Premises, finding: Finding, *, alone: bool) -> str | None:
    """Mend what was found; return None, or why it could not be done, as a sentence. Blocks.

    ``alone``: no server runs on the data, and none begins meanwhile.
    """
    if finding.repair is None:
        return "only a person can decide what to do"
    if finding.kind in _ALONE and not alone:
        return "a server runs; stop it, and repair again"
    try:
        try:
            _REPAIRS[finding.kind](premises, finding.subject)
        except StorageFull:
            if not premises.space.release_reserve():
                raise
            _REPAIRS[finding.kind](premises, finding.subject)
    except CIError as error:
        return error.detail
    except OSError as error:
        return error.strerror or str(error)
    return None


def _end_unreadable(premises: Premises, job_id: str) -> None:
    with writing(premises.data.database) as connection:
        connection.execute(_CLEAR_RECIPE, (job_id,))
        row = connection.execute(_ROW, (job_id,)).fetchone()
        if row is not None and not JobStatus(row["status"]).ended:
            _end(premises, connection, job_id, row, "its row could not be read")


def _end_without_zip(premises: Premises, job_id: str) -> None:
    _end_waiting(premises, job_id, "its project is not in the stash any more")


def _end_with_bad_zip(premises: Premises, job_id: str) -> None:
    row = _end_waiting(premises, job_id, "its project was damaged in the stash")
    premises.data.zip_at(row["zip_path"]).unlink(missing_ok=True)


def _end_waiting(premises: Premises, job_id: str, why: str) -> sqlite3.Row:
    with writing(premises.data.database) as connection:
        row: sqlite3.Row | None = connection.execute(_ROW, (job_id,)).fetchone()
        if row is None or row["status"] != JobStatus.QUEUED:
            raise InvalidTransition(f"job {job_id} does not wait any more")
        _end(premises, connection, job_id, row, why)
        return row


def _end(
    premises: Premises, connection: sqlite3.Connection, job_id: str, row: sqlite3.Row, why: str
) -> None:
    """End a job as an infrastructure error, in one transaction with its claim if it waits."""
    # As the controller does it: the log is whole before the row says so.
    _append(premises, job_id, f"[ci] Infrastructure error: {why}\n")
    now = premises.clock.now()
    attempt = row["attempt"]
    if row["status"] == JobStatus.QUEUED:
        claim = {"id": job_id, "attempt": attempt, **moment_columns("started", now)}
        attempt += connection.execute(sql.TAKE, claim).rowcount
    finish = {
        "id": job_id,
        "attempt": attempt,
        "reason": EndReason.INFRA_ERROR.value,
        "exit_code": None,
        "detail": why,
        "stashed": 0,
        **moment_columns("ended", now),
    }
    if not connection.execute(sql.END[Change.FINISH], finish).rowcount:
        raise InvalidTransition(f"job {job_id} could not be ended")


def _append(premises: Premises, job_id: str, line: str) -> None:
    writer = FileLogStore(premises.data.logs).open(job_id, new_attempt=True)
    writer.write(line.encode())
    writer.close()


def _name_stashed_zip(premises: Premises, job_id: str) -> None:
    with writing(premises.data.database) as connection:
        row = connection.execute(_ROW, (job_id,)).fetchone()
        if row is not None:
            moved = str(premises.data.zip_at(row["zip_path"]))
            connection.execute(_MOVE_ZIP, (moved, job_id))


def _delete_zip(premises: Premises, subject: str) -> None:
    path = Path(subject)
    row = _row(premises, path.stem)
    if row is None or not row["stashed"]:
        path.unlink(missing_ok=True)


def _delete_pack(premises: Premises, subject: str) -> None:
    with reading(premises.data.database) as connection:
        known = is_known_pack(connection, Path(subject))
    if not known:
        unlink_unless_held(Path(subject))


def _delete_file(_premises: Premises, subject: str) -> None:
    unlink_unless_held(Path(subject))


def _write_log(premises: Premises, job_id: str) -> None:
    if _row(premises, job_id) is not None and not premises.data.log_of(job_id).exists():
        _append(premises, job_id, _LOST_LOG)


def _move_log_base(premises: Premises, job_id: str) -> None:
    log = premises.data.log_of(job_id)
    size = log.stat().st_size if log.is_file() else 0
    with writing(premises.data.database) as connection:
        row = connection.execute(_ROW, (job_id,)).fetchone()
        if row is not None:
            connection.execute(_MOVE_LOG_BASE, (size, job_id, row["attempt"], size))


def _delete_unexpected_log(premises: Premises, job_id: str) -> None:
    # The transaction keeps the job from being claimed, and its log from being begun.
    with writing(premises.data.database) as connection:
        row = connection.execute(_ROW, (job_id,)).fetchone()
        if row is not None and not row["attempt"]:
            premises.data.log_of(job_id).unlink(missing_ok=True)


def _delete_of_job(premises: Premises, subject: str) -> None:
    path = Path(subject)
    if _row(premises, path.stem) is None:
        path.unlink(missing_ok=True)


def _forget_artifacts(premises: Premises, job_id: str) -> None:
    with writing(premises.data.database) as connection:
        if not premises.data.artifacts_of(job_id).is_file():
            connection.execute(_FORGET_ARTIFACTS, (job_id,))


def _close_to_others(_premises: Premises, subject: str) -> None:
    path = Path(subject)
    with suppress(FileNotFoundError):
        path.chmod(path.stat().st_mode & ~OTHERS & 0o7777)


def _fill_reserve(premises: Premises, _subject: str) -> None:
    premises.reserve.fill()


def _make_organisation_again(premises: Premises, organisation: str) -> None:
    with writing(premises.data.database) as connection:
        make_organisation_again(connection, organisation, premises.clock.now())


def _row(premises: Premises, job_id: str) -> sqlite3.Row | None:
    with reading(premises.data.database) as connection:
        row: sqlite3.Row | None = connection.execute(_ROW, (job_id,)).fetchone()
        return row


_REPAIRS: Mapping[Kind, Callable[[Premises, str], None]] = MappingProxyType(
    {
        Kind.ROW_UNREADABLE: _end_unreadable,
        Kind.ORGANISATION_MISSING: _make_organisation_again,
        Kind.STASH_MISSING: _end_without_zip,
        Kind.STASH_DAMAGED: _end_with_bad_zip,
        Kind.STASH_ELSEWHERE: _name_stashed_zip,
        Kind.STASH_ORPHAN: _delete_zip,
        Kind.PACK_ORPHAN: _delete_pack,
        Kind.UPLOAD_ORPHAN: _delete_file,
        Kind.LOG_MISSING: _write_log,
        Kind.LOG_SHORT: _move_log_base,
        Kind.LOG_UNEXPECTED: _delete_unexpected_log,
        Kind.LOG_ORPHAN: _delete_of_job,
        Kind.ARTIFACTS_MISSING: _forget_artifacts,
        Kind.ARTIFACTS_ORPHAN: _delete_of_job,
        Kind.PERMISSIONS: _close_to_others,
        Kind.RESERVE_MISSING: _fill_reserve,
    }
)

_ALONE = frozenset({Kind.LOG_SHORT})
"""What cannot be mended beside a server, which knows better or holds it open."""
