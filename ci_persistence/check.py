"""Looking for what is not as it must be in a data directory, while its server runs or not.

Nothing is changed. Jobs move while we look: a row is read, its job ends, its
zip is gone. Therefore a look that found something is followed by a second
one, and only what both saw is a finding.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ci_common.clock import Clock
from ci_common.errors import DatabaseUnusable
from ci_common.jobs import Job, JobStatus
from ci_common.project_tree import TREE_SUFFIX, pack_name
from ci_persistence.audit_chain import ChainBroken, verify
from ci_persistence.backup_folder import digest
from ci_persistence.check_accounts import check_accounts
from ci_persistence.check_files import check_files, if_open_to_others
from ci_persistence.connections import reading
from ci_persistence.data_directory import DataDirectory
from ci_persistence.findings import Finding, Kind
from ci_persistence.job_rows import COLUMNS, job_from_row
from ci_persistence.schema import Header, load_migrations
from ci_persistence.secret_keys import SecretKeys
from ci_persistence.secret_rotation import unreadable
from ci_persistence.space import DiskSpace, Reserve
from ci_persistence.webhook_rows import DELIVERY, WEBHOOK, delivery_from_row, webhook_from_row

SECOND_LOOK = 2.0
"""Seconds in which what is under way in a server has come to its end."""

_ALL = f"SELECT {COLUMNS} FROM jobs ORDER BY seq"  # noqa: S608 -- constants
_PACKS_OF = "SELECT pack FROM job_packs WHERE job = ? ORDER BY pack"
_HAVE_ARTIFACTS = "SELECT id FROM jobs WHERE seq IN (SELECT job FROM artifacts) ORDER BY seq"
_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What is looked at. ``grace``: seconds that files without a row may be on their way."""

    data: DataDirectory
    clock: Clock
    grace: float
    space: DiskSpace
    reserve: Reserve
    keys: SecretKeys | None = None
    """Those that secrets are sealed with, by default where they are in ``data``."""


def check(premises: Premises, pause: Callable[[float], object]) -> list[Finding]:
    """Return what is wrong, and is so twice, ``pause(SECOND_LOOK)`` apart. Blocks.

    Reads every row, and every zip of an unfinished job.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know.

    """
    first = list(_look(premises))
    if not first:
        return []
    pause(SECOND_LOOK)
    seen = {(finding.kind, finding.subject) for finding in first}
    return [found for found in _look(premises) if (found.kind, found.subject) in seen]


def _look(premises: Premises) -> Iterator[Finding]:
    data = premises.data
    shortage = premises.space.shortage()
    if shortage:
        yield Finding(Kind.DISK_LOW, str(data.folder), shortage)
    try:
        with reading(data.database) as connection:
            yield from _check_database(data, connection)
            yield from _check_secrets(premises, connection)
            yield from check_files(
                data, connection, premises.clock.now().wall, premises.grace, premises.reserve
            )
    except DatabaseUnusable as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
        yield Finding(Kind.DATABASE_DAMAGED, str(data.database), error.detail)


def _check_database(data: DataDirectory, connection: sqlite3.Connection) -> Iterator[Finding]:
    version, known = Header.of(connection).version, len(load_migrations())
    if version < known:
        what = f"its schema is {version}, ours {known}; the next start of the server upgrades it"
        yield Finding(Kind.SCHEMA_OLD, str(data.database), what)
        return
    yield from _check_integrity(data, connection)
    yield from _check_artifacts(data, connection)
    unfinished = []
    for row in connection.execute(_ALL):
        try:
            job = job_from_row(row)
        except (ValueError, msgspec.MsgspecError) as error:
            yield Finding(Kind.ROW_UNREADABLE, row["id"], f"the row cannot be read: {error}")
            continue
        yield from _check_row(job)
        if not job.status.ended:
            unfinished.append(job)
        elif job.attempt and not data.log_of(job.id).is_file():
            yield Finding(Kind.LOG_MISSING, job.id, "the job has run, and its log is gone")
    yield from _check_webhooks(connection)
    yield from _check_audit(data, connection)
    yield from check_accounts(str(data.database), connection)
    for job in unfinished:
        yield from _check_stash(data, job)
        yield from _check_packs(data, connection, job)
        yield from _check_log(data, job)


def _check_webhooks(connection: sqlite3.Connection) -> Iterator[Finding]:
    tables = (
        (f"SELECT {WEBHOOK} FROM webhooks", webhook_from_row),  # noqa: S608 -- constants
        (f"SELECT {DELIVERY} FROM webhook_deliveries", delivery_from_row),  # noqa: S608 -- constants
    )
    for query, read in tables:
        for row in connection.execute(query):
            try:
                read(row)
            except (ValueError, msgspec.MsgspecError) as error:
                what = f"the row cannot be read: {error}"
                yield Finding(Kind.ROW_UNREADABLE, row["id"], what, repairable=False)


def _check_secrets(premises: Premises, connection: sqlite3.Connection) -> Iterator[Finding]:
    keys = premises.keys or SecretKeys(premises.data.secrets_key)
    for about, why in unreadable(connection, keys):
        yield Finding(Kind.SECRET_UNREADABLE, about, why)
    for path in (keys.path.parent, keys.path):
        yield from if_open_to_others(path)


def _check_audit(data: DataDirectory, connection: sqlite3.Connection) -> Iterator[Finding]:
    try:
        verify(connection)
    except ChainBroken as broken:
        yield Finding(Kind.AUDIT_CHANGED, str(data.database), f"audit log: {broken.what}")


def _check_integrity(data: DataDirectory, connection: sqlite3.Connection) -> Iterator[Finding]:
    problems = connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
    for (problem,) in problems:
        if problem != "ok":
            yield Finding(Kind.DATABASE_DAMAGED, str(data.database), problem)
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        what = f"row {rowid} of {table} refers to a row of {parent} that is not there"
        yield Finding(Kind.DATABASE_DAMAGED, str(data.database), what)


def _check_artifacts(data: DataDirectory, connection: sqlite3.Connection) -> Iterator[Finding]:
    for (job_id,) in connection.execute(_HAVE_ARTIFACTS):
        if not data.artifacts_of(job_id).is_file():
            yield Finding(Kind.ARTIFACTS_MISSING, job_id, "the job's artifacts are gone")


def _check_row(job: Job) -> Iterator[Finding]:
    running = job.status is JobStatus.RUNNING
    impossible = {
        "it runs, but was never claimed": running and job.attempt < 1,
        "it was fed, but to no container": running and job.fed and job.container is None,
        "it lost more attempts than it had": job.faults > job.attempt,
        "it waits, but its attempts are used up": job.status is JobStatus.QUEUED
        and job.faults >= job.max_attempts,
    }
    for what, is_so in impossible.items():
        if is_so:
            yield Finding(Kind.ROW_IMPOSSIBLE, job.id, what)


def _check_stash(data: DataDirectory, job: Job) -> Iterator[Finding]:
    named, stashed = Path(job.zip_path), data.zip_at(job.zip_path)
    waits = job.status is JobStatus.QUEUED
    note = "" if waits else "; its present attempt goes on, but cannot be repeated"
    is_named, is_stashed = named.is_file(), stashed.is_file()
    if not is_named and not is_stashed:
        what = f"the zip of the {job.status} job is missing{note}"
        yield Finding(Kind.STASH_MISSING, job.id, what, repairable=waits)
        return
    try:
        if not (is_named and is_stashed and named.samefile(stashed)):
            what = f"the row names {named}, but the stash is {data.stash}"
            yield Finding(Kind.STASH_ELSEWHERE, job.id, what, repairable=is_stashed)
        if stashed.suffix == TREE_SUFFIX:
            return  # its hash is the manifest's
        if digest(stashed if is_stashed else named) != job.zip_sha256:
            what = f"the zip of the {job.status} job is not what was submitted{note}"
            yield Finding(Kind.STASH_DAMAGED, job.id, what, repairable=waits)
    except FileNotFoundError:
        return  # the job has ended while we looked; if not, the next look finds it missing


def _check_packs(
    data: DataDirectory, connection: sqlite3.Connection, job: Job
) -> Iterator[Finding]:
    packs = [pack for (pack,) in connection.execute(_PACKS_OF, (job.seq,))]
    missing = [pack for pack in packs if not data.pack_file(pack).is_file()]
    if missing:
        names = ", ".join(map(pack_name, missing))
        what = f"packs that the {job.status} job needs are missing: {names}"
        waits = job.status is JobStatus.QUEUED
        yield Finding(Kind.STASH_DAMAGED, job.id, what, repairable=waits)


def _check_log(data: DataDirectory, job: Job) -> Iterator[Finding]:
    log = data.log_of(job.id)
    size = log.stat().st_size if log.is_file() else 0
    if not job.attempt and size:
        what = f"the job has never started, but has a log of {size} bytes"
        yield Finding(Kind.LOG_UNEXPECTED, job.id, what)
    began = job.container is not None or job.preparing is not None
    if job.status is JobStatus.RUNNING and began and size < job.log_base:
        what = f"the log has {size} bytes, but its attempt began at byte {job.log_base}"
        yield Finding(Kind.LOG_SHORT, job.id, what)
