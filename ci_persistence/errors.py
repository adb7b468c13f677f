"""What SQLite's errors mean for our callers."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci_common.errors import CIError, DatabaseFull, DatabaseUnusable, StorageBusy
from ci_persistence.disk import is_disk_full

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_PRIMARY = 0xFF

# A disk without room shows up as these too, where SQLite does not look at errno.
_FAILED_WRITES = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors about the database ``path`` as ours.

    Raises:
        StorageBusy: it stayed locked past the deadline.
        DatabaseFull: the disk took no more.
        DatabaseUnusable: it is damaged, not a database, or cannot be read.
        sqlite3.Error: a mistake in our own statements stays what it is.

    """
    try:
        yield
    except sqlite3.Error as error:
        ours = _meaning(error, path)
        if ours is None:
            raise
        raise ours from error


def says_full(error: BaseException) -> bool:
    """Return whether an error of the file system or of SQLite says that nothing more fits."""
    if isinstance(error, OSError):
        return is_disk_full(error)
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return extended & _PRIMARY == sqlite3.SQLITE_FULL or extended in _FAILED_WRITES


def _meaning(error: sqlite3.Error, path: Path) -> CIError | None:
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = extended & _PRIMARY
    if primary in _BUSY:
        return StorageBusy(f"{path} is locked by another process", hint="try again in a moment")
    if says_full(error):
        return no_room(path)
    return _unusable(error, primary, path)


def _unusable(error: sqlite3.Error, primary: int, path: Path) -> DatabaseUnusable | None:
    if primary == sqlite3.SQLITE_NOTADB:
        return DatabaseUnusable(
            f"{path} is not a SQLite database",
            hint="give Standby CI a file of its own (CI_DB_PATH)",
        )
    if primary == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    if primary in _UNREADABLE:
        return unreachable(path, error)
    return None


def no_room(path: Path) -> DatabaseFull:
    """Return the error of a full disk."""
    return DatabaseFull(
        f"the disk has no room for {path}", hint="free space where the data is kept"
    )


def unreachable(path: Path, error: Exception) -> DatabaseUnusable:
    """Return the error of a database that cannot be opened, read or written at all."""
    return DatabaseUnusable(
        f"{path} cannot be used: {error}", hint="check the disk, the folder and its permissions"
    )


def damaged(path: Path, problem: str) -> DatabaseUnusable:
    """Return the refusal of a database with broken contents."""
    return DatabaseUnusable(
        f"{path} is damaged: {problem}",
        hint="restore it from a backup, or move it away to begin anew",
    )
