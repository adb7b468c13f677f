"""Making a backup of a data directory, while its server runs or not.

The database is copied first, by SQLite's own online backup: all of it, as of
one moment. The files of its jobs are copied afterwards, from a server that
goes on meanwhile. Where one is gone by then, its job has ended or has been
removed since, and the copy of its row is brought forward to that: so each job
of a backup is in a state it was in, with the files that belong to it. Logs
only grow: what a copy has more than its row knows of does no harm.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from ci_common import __version__
from ci_common.clock import Clock
from ci_common.errors import ConfigurationError
from ci_common.jobs import JobStatus
from ci_common.project_tree import TREE_SUFFIX, pack_name
from ci_persistence import backup_folder
from ci_persistence.backup_folder import DATABASE, FORMAT, MANIFEST, SUMS, Copied, Manifest
from ci_persistence.connections import reading
from ci_persistence.data_directory import (
    ARTIFACTS,
    ARTIFACTS_SUFFIX,
    KEYS,
    LOG_SUFFIX,
    LOGS,
    PACKS,
    SECRETS_KEY,
    STASH,
    DataDirectory,
)
from ci_persistence.disk import fsync_folder
from ci_persistence.errors import damaged, no_room, says_full
from ci_persistence.schema import Header
from ci_persistence.secret_keys import SecretKey, SecretKeys

_BATCH = 500

_ROWS = "SELECT * FROM jobs WHERE seq > ? ORDER BY seq LIMIT ?"
_ROW = "SELECT * FROM jobs WHERE id = ?"
_PACKS_OF = "SELECT pack FROM job_packs WHERE job = ? ORDER BY pack"
_RELEASES = "SELECT 1 FROM pragma_table_info('jobs') WHERE name = 'stashed'"
_RELEASE = "UPDATE jobs SET stashed = 0 WHERE reason IS NOT NULL"
"""What is kept for retries is not worth its room in a backup."""
_HAS_PACKS = "SELECT 1 FROM sqlite_schema WHERE name = 'job_packs'"
_FORGET_ARTIFACTS = "DELETE FROM artifacts WHERE job = ?"
_HAS_ARTIFACTS = "SELECT 1 FROM sqlite_schema WHERE name = 'artifacts'"
_COUNT_ARTIFACTS = "SELECT count(*) FROM artifacts WHERE job = ?"
_OPENED = ("sessions", "password_links", "sign_in_failures", "sign_in_places")
"""Who is signed in is not restored: a copy opens nothing that has been shut since."""
_HAS_TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
_LET_GO = (
    "DELETE FROM packs WHERE id NOT IN (SELECT pack FROM job_packs)",
    "DELETE FROM scopes WHERE id NOT IN (SELECT scope FROM packs)",
)
"""Only what a job needs is copied: contents kept for jobs to come are sent again."""


def back_up(
    data: DataDirectory, destination: Path, clock: Clock, keys: SecretKeys | None = None
) -> Manifest:
    """Make the new folder ``destination`` a backup of ``data``; return what is in it.

    Whoever has it and ``keys`` has the secrets: these are in it only if they are given.
    It gets its name only when it is whole and on disk. Blocks.

    Raises:
        ConfigurationError: the destination is there already, or its parent is not.
        DatabaseUnusable: there is no database, or it is damaged.
        StorageFull: no room at the destination; nothing is left there.

    """
    _require_new(destination)
    with reading(data.database) as live, _staging(destination) as folder:
        found = list(keys.read()) if keys else []
        _copy_database(live, folder / DATABASE, data.database)
        if keys:
            # What is in the copy may be sealed with what a rotation has just added, or dropped.
            found += [key for key in keys.read() if key not in found]
        manifest = _copy_files(data, folder, live, clock.now().wall, found)
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        # One sync of everything: an fsync for each of many small logs would take hours.
        os.sync()
        folder.rename(destination)
        fsync_folder(destination.parent)
        return manifest


def _require_new(destination: Path) -> None:
    if os.path.lexists(destination):
        raise ConfigurationError(
            f"{destination} is there already", hint="name a folder that is not: it will be made"
        )
    if not destination.parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {destination.parent}", hint="make it, or mount it, first"
        )


@contextmanager
def _staging(destination: Path) -> Iterator[Path]:
    """Hold a folder beside ``destination`` that is gone afterwards, unless it was renamed."""
    try:
        folder = Path(
            tempfile.mkdtemp(prefix=f".{destination.name}.partial-", dir=destination.parent)
        )
    except OSError as error:
        raise ConfigurationError(f"{destination} cannot be made: {error.strerror}") from error
    try:
        yield folder
    except (OSError, sqlite3.Error) as error:
        if says_full(error):
            raise no_room(destination) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_database(live: sqlite3.Connection, target: Path, source: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # All at once: a copy in steps begins anew whenever the server writes.
        live.backup(copy, pages=-1)
        # The copy is one file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        (problem,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        raise damaged(source, problem)


def _copy_files(
    data: DataDirectory,
    folder: Path,
    live: sqlite3.Connection,
    created_at: datetime,
    keys: Sequence[SecretKey],
) -> Manifest:
    """Copy what the jobs need beside their rows; return the manifest."""
    for name in (STASH, PACKS, LOGS, ARTIFACTS):
        (folder / name).mkdir(mode=0o700)
    database = folder / DATABASE
    with (folder / SUMS).open("x", encoding="ascii") as sums:
        with closing(_open_copy(database)) as copy:
            backup = _Backup(data, folder, live, copy, sums)
            backup.copy_jobs()
            backup.let_go_of_projects()
            backup.shut_sessions()
            copy.execute("COMMIT")
            schema = Header.of(copy).version
            jobs = dict(copy.execute("SELECT status, count(*) FROM jobs GROUP BY status"))
        copied = Copied(database.stat().st_size, backup_folder.digest(database))
        backup.add(DATABASE, copied)
        if keys:
            backup.add_keys(keys)
    return Manifest(
        format=FORMAT,
        version=__version__,
        schema=schema,
        created_at=created_at,
        jobs={status.value: jobs.get(status.value, 0) for status in JobStatus},
        files=backup.files,
        bytes=backup.bytes,
        database_sha256=copied.sha256,
        sums_sha256=backup_folder.digest(folder / SUMS),
        problems=backup.problems,
    )


def _open_copy(path: Path) -> sqlite3.Connection:
    copy = sqlite3.connect(path, isolation_level=None)
    copy.row_factory = sqlite3.Row
    copy.execute("PRAGMA foreign_keys = ON")  # what hangs on a row goes with it
    copy.execute("PRAGMA synchronous = OFF")  # synced as a whole at the end
    copy.execute("BEGIN")
    return copy


@dataclass
class _Backup:
    """The jobs of one backup, on their way from ``live`` and ``data`` to ``copy`` and ``folder``.

    ``files`` and ``bytes`` count what is there already, and ``sums`` lists it.
    """

    data: DataDirectory
    folder: Path
    live: sqlite3.Connection
    copy: sqlite3.Connection
    sums: IO[str]
    problems: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    packs: set[int] = field(default_factory=set)

    def copy_jobs(self) -> None:
        """Copy the files of every job in the copy, and mend the rows whose files went."""
        seq = 0
        while rows := self.copy.execute(_ROWS, (seq, _BATCH)).fetchall():
            for row in rows:
                self._copy_job(row)
            seq = rows[-1]["seq"]

    def _copy_job(self, row: sqlite3.Row) -> None:
        current: sqlite3.Row | None = row
        if not _ended(row):
            current = self._copy_project(row)
        if current is not None and (_ended(current) or current["attempt"]):
            self._copy_log(current)
            self._copy_artifacts(current)

    def _copy_project(self, row: sqlite3.Row) -> sqlite3.Row | None:
        """Copy a job's zip or tree; return its row as it then is in the copy, None if not there."""
        job_id = row["id"]
        name = self.data.zip_at(row["zip_path"]).name
        is_tree = name.endswith(TREE_SUFFIX)
        copied = self._copy_file(f"{STASH}/{name}")
        if copied is None or (is_tree and not self._copy_packs(row["seq"])):
            renewed = self._bring_forward(job_id)
            if renewed is None or _ended(renewed):
                return renewed
            what = "its zip is" if not is_tree else "files of its project are"
            self.problems.append(f"job {job_id} has not ended, and {what} missing")
        elif not is_tree and copied.sha256 != row["zip_sha256"]:
            self.problems.append(f"the zip of job {job_id} is not what was submitted")
        return row

    def _copy_packs(self, seq: int) -> bool:
        """Copy the packs of a job that are not there yet; return whether none is missing."""
        needed = {pack for (pack,) in self.copy.execute(_PACKS_OF, (seq,))}
        for pack in sorted(needed - self.packs):
            if self._copy_file(f"{PACKS}/{pack_name(pack)}") is not None:
                self.packs.add(pack)
        return needed <= self.packs

    def let_go_of_projects(self) -> None:
        """Have the copy forget the projects and packs that were left behind."""
        if self.copy.execute(_RELEASES).fetchone():
            self.copy.execute(_RELEASE)
        if self.copy.execute(_HAS_PACKS).fetchone():
            for statement in _LET_GO:
                self.copy.execute(statement)

    def shut_sessions(self) -> None:
        """Have the copy forget who is signed in, and every one-time link."""
        for table in _OPENED:
            if self.copy.execute(_HAS_TABLE, (table,)).fetchone():
                self.copy.execute(f"DELETE FROM {table}")  # noqa: S608 -- a name of ours

    def _copy_log(self, row: sqlite3.Row) -> None:
        job_id = row["id"]
        if self._copy_file(f"{LOGS}/{job_id}{LOG_SUFFIX}") is not None or not row["attempt"]:
            return
        renewed = self._bring_forward(job_id)
        if renewed is not None and _ended(renewed):
            self.problems.append(f"job {job_id} has run, and its log is missing")

    def _copy_artifacts(self, row: sqlite3.Row) -> None:
        if self.copy.execute(_HAS_ARTIFACTS).fetchone() is None:
            return
        (count,) = self.copy.execute(_COUNT_ARTIFACTS, (row["seq"],)).fetchone()
        if not count:
            return
        job_id = row["id"]
        if self._copy_file(f"{ARTIFACTS}/{job_id}{ARTIFACTS_SUFFIX}") is None:
            if self._bring_forward(job_id) is not None:
                self.problems.append(f"the artifacts of job {job_id} are missing")
            self.copy.execute(_FORGET_ARTIFACTS, (row["seq"],))

    def _bring_forward(self, job_id: str) -> sqlite3.Row | None:
        """Make the copy's row what the server's is now; return that, None if there is none."""
        row: sqlite3.Row | None = self.live.execute(_ROW, (job_id,)).fetchone()
        if row is None:
            self.copy.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        else:
            names = row.keys()
            assignments = ", ".join(f"{name} = :{name}" for name in names)
            values = {name: row[name] for name in names}
            self.copy.execute(f"UPDATE jobs SET {assignments} WHERE id = :id", values)  # noqa: S608 -- names of columns
        return row

    def _copy_file(self, name: str) -> Copied | None:
        copied = backup_folder.copy_file(self.data.folder / name, self.folder / name)
        if copied is not None:
            self.add(name, copied)
        return copied

    def add_keys(self, keys: Sequence[SecretKey]) -> None:
        """Have the keys of the secrets in the backup."""
        name = f"{KEYS}/{SECRETS_KEY}"
        path = self.folder / name
        SecretKeys(path).write(keys)
        self.add(name, Copied(path.stat().st_size, backup_folder.digest(path)))

    def add(self, name: str, copied: Copied) -> None:
        """Note a file that is in the backup."""
        self.sums.write(f"{copied.sha256}  {name}\n")
        self.files += 1
        self.bytes += copied.size


def _ended(row: sqlite3.Row) -> bool:
    return JobStatus(row["status"]).ended
