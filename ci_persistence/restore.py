"""Making a data directory of a backup: every file checked, nothing overwritten.

The database gets its name last. Until then there is nothing that a server
would take for its data, and the restore can be done again.
"""

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ci_common.clock import Clock, Moment, format_utc
from ci_common.errors import ConfigurationError
from ci_common.jobs import EndReason, JobStatus, Result
from ci_persistence import backup_folder
from ci_persistence import job_statements as sql
from ci_persistence.backup_folder import DATABASE, Manifest
from ci_persistence.data_directory import (
    ARTIFACTS,
    KEYS,
    LOGS,
    PACKS,
    SECRETS_KEY,
    STASH,
    DataDirectory,
)
from ci_persistence.disk import ensure_folder, fsync_folder
from ci_persistence.errors import no_room, says_full
from ci_persistence.job_rows import moment_columns, to_microseconds
from ci_persistence.schema import load_migrations, upgrade
from ci_persistence.secret_keys import SecretKeys
from ci_persistence.secret_rotation import unreadable

_RUNNING = "SELECT id, attempt, stop_reason FROM jobs WHERE status = ?"
_UNFINISHED = "SELECT id, zip_path FROM jobs WHERE ended_wall IS NULL"
_MOVE_ZIP = "UPDATE jobs SET zip_path = ? WHERE id = ?"
_ENDED_BEFORE = "SELECT count(*) FROM jobs WHERE ended_wall < ?"
_NOTE_RESTORE = "INSERT INTO restores (token, backup_wall, restored_wall) VALUES (?, ?, ?)"
# The original may live, and would tell the same.
_SILENCE_WEBHOOKS = (
    "UPDATE webhooks SET enabled = 0, disabled_reason = 'this server was restored from a backup'"
    " WHERE enabled"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. ``again``: how many jobs ran at the time of the backup, and wait now.

    ``unreadable``: how many secrets cannot be opened for want of their key, which
    belongs into the file ``secrets_key``.
    ``token`` goes into the names of the restored server's containers.
    """

    manifest: Manifest
    again: int
    token: str
    unreadable: int = 0
    secrets_key: Path | None = None


def restore(
    source: Path, data: DataDirectory, clock: Clock, keys: SecretKeys | None = None
) -> Restored:
    """Make ``data``, which must be empty, what the backup ``source`` holds. Blocks.

    Jobs that were running start again: their containers belong to the server
    that the backup was made of, be it alive or not. For the same reason the
    restored server's containers are named otherwise.

    Raises:
        BackupUnusable: damaged, not whole, or of a later version.
        ConfigurationError: there is something at ``data`` already.
        StorageFull: no room; nothing is left at ``data``.

    """
    manifest = backup_folder.read_manifest(source)
    if manifest.schema > len(load_migrations()):
        raise backup_folder.newer(source, manifest)
    _require_empty(data)
    with _staging(data) as (folder, database):
        _copy_checked(source, manifest, folder, database)
        restored = _adapt(database, data, manifest, clock.now())
        for name in (STASH, PACKS, LOGS, ARTIFACTS):
            (folder / name).rename(data.folder / name)
        keys = keys or SecretKeys(data.secrets_key)
        lacking = _restore_keys(SecretKeys(folder / KEYS / SECRETS_KEY), keys, database)
        os.sync()
        database.rename(data.database)
        fsync_folder(data.database.parent)
        return replace(restored, unreadable=lacking, secrets_key=keys.path)


def _restore_keys(found: SecretKeys, keys: SecretKeys, database: Path) -> int:
    """Keep the keys of the backup, if there are any; return how many secrets stay shut."""
    there = keys.read()
    if added := [key for key in found.read() if key not in there]:
        keys.write([*there, *added])
    with closing(sqlite3.connect(database)) as connection:
        return sum(1 for _ in unreadable(connection, keys))


def ended_before(data: DataDirectory, moment: Moment) -> int:
    """Return how many jobs of a database that nobody uses ended before ``moment``."""
    with closing(sqlite3.connect(data.database)) as connection:
        (count,) = connection.execute(_ENDED_BEFORE, (to_microseconds(moment.wall),)).fetchone()
    return int(count)


def _require_empty(data: DataDirectory) -> None:
    wal = data.database.with_name(f"{data.database.name}-wal")
    taken = [path for path in (data.database, wal) if os.path.lexists(path)]
    folders = (data.stash, data.packs, data.logs, data.artifacts)
    taken += [path for path in folders if path.is_dir() and any(path.iterdir())]
    if taken:
        raise ConfigurationError(
            f"there is data already: {', '.join(map(str, taken))}",
            hint="restore into an empty directory (--data-dir), or move these away first",
        )


@contextmanager
def _staging(data: DataDirectory) -> Iterator[tuple[Path, Path]]:
    """Hold a folder, and a path for the database, on the file systems where these will be."""
    ensure_folder(data.folder)
    ensure_folder(data.database.parent)
    folder = Path(tempfile.mkdtemp(prefix="restore-", dir=data.folder))
    database = data.database.with_name(f"{data.database.name}.{folder.name}")
    try:
        yield folder, database
    except (OSError, sqlite3.Error) as error:
        if says_full(error):
            raise no_room(data.folder) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        database.unlink(missing_ok=True)


def _copy_checked(source: Path, manifest: Manifest, folder: Path, database: Path) -> None:
    for name in (STASH, PACKS, LOGS, ARTIFACTS, KEYS):
        (folder / name).mkdir(mode=0o700)
    for name, sha256 in backup_folder.read_sums(source, manifest):
        target = database if name == DATABASE else folder / name
        copied = backup_folder.copy_file(source / name, target)
        if copied is None or copied.sha256 != sha256:
            raise backup_folder.damaged(source, name)
    if not database.is_file():
        raise backup_folder.damaged(source, DATABASE)


def _adapt(database: Path, data: DataDirectory, manifest: Manifest, now: Moment) -> Restored:
    """Make the copied rows true for the place and the time they are in now."""
    upgrade(database, load_migrations(), busy_timeout=0)
    token = f"r{uuid.uuid4().hex[:8]}"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        running = connection.execute(_RUNNING, (JobStatus.RUNNING.value,)).fetchall()
        for job_id, attempt, stop_reason in running:
            _take_back(connection, job_id, attempt, stop_reason, manifest, now)
        for job_id, zip_path in connection.execute(_UNFINISHED).fetchall():
            connection.execute(_MOVE_ZIP, (str(data.zip_at(zip_path)), job_id))
        walls = (to_microseconds(manifest.created_at), to_microseconds(now.wall))
        connection.execute(_NOTE_RESTORE, (token, *walls))
        # The images they speak of are the former server's.
        connection.execute("DELETE FROM snapshots")
        connection.execute(_SILENCE_WEBHOOKS)
        # Nothing of what runs elsewhere is written here.
        connection.execute("DELETE FROM given_secrets")
        connection.execute("COMMIT")
    again = sum(stop_reason is None for _, _, stop_reason in running)
    return Restored(manifest, again, token)


def _take_back(
    connection: sqlite3.Connection,
    job_id: str,
    attempt: int,
    stop_reason: str | None,
    manifest: Manifest,
    now: Moment,
) -> None:
    """Queue a running job again; or end it, if it was being stopped."""
    detail = f"the server was restored from a backup of {format_utc(manifest.created_at)}"
    values = {"id": job_id, "attempt": attempt, "detail": detail}
    if stop_reason is None:
        connection.execute(sql.REQUEUE, {**values, "charged": 0, "hold_until": None})
    else:
        result = Result(reason=EndReason(stop_reason))
        ended = {
            "reason": result.reason.value,
            "exit_code": None,
            "stashed": 0,
            **moment_columns("ended", now),
        }
        connection.execute(sql.END[result.change], {**values, **ended})
