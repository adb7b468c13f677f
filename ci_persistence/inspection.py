"""A look at the database before anything may change it.

Opening a SQLite file is a write: a left-over log is rolled in, files appear
beside it. A file that we are going to refuse must stay as it is, so it is
first looked at in ways that do not touch it. Only SQLite reads the database
file: closing a plain descriptor would drop the locks that other connections
of this process hold on it.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ci_common.errors import DatabaseUnusable
from ci_persistence.errors import damaged
from ci_persistence.schema import Header, Migration, check_header, check_history, foreign

_ATTEMPTS = 100
"""Each takes about a millisecond; another process applies all migrations in some tens of them."""


def inspect(path: Path, migrations: Sequence[Migration], *, busy_timeout: float) -> None:
    """Return if ``path`` is absent, empty, or a sound database of ours that we can upgrade.

    Blocks, reads the whole file once (0.6 s per GB when it is cached).

    Raises:
        DatabaseUnusable: newer, not ours, or incomplete; no byte was changed.
        sqlite3.Error: damaged, not a database, or locked; no byte was changed.

    """
    for attempt in range(1, _ATTEMPTS + 1):
        before = _fingerprint(path)
        try:
            _inspect(path, migrations, busy_timeout)
            return
        except (DatabaseUnusable, sqlite3.Error):
            # Looking without locks, we may have seen another process in mid-write.
            # Only the verdict on a file that stood still counts.
            if _fingerprint(path) == before or attempt == _ATTEMPTS:
                raise


def _inspect(path: Path, migrations: Sequence[Migration], busy_timeout: float) -> None:
    wal = _wal_of(path)
    # The log first: it is made after the database, so if it is there, both must be.
    wal_size = _size(wal)
    if not _size(path):
        if wal_size:
            raise DatabaseUnusable(
                f"{path} is gone, but its write-ahead log {wal.name} is there",
                hint="put the database back beside its log; or move the log away to begin anew",
            )
        return
    with closing(_connect(path, "mode=ro&immutable=1", busy_timeout)) as connection:
        header = Header.of(connection)
        if wal_size is None:
            _check(path, connection, migrations)
            return
    check_header(path, _header_in_wal(wal, header), migrations)
    with closing(_connect(path, "mode=ro", busy_timeout)) as connection:
        _check(path, connection, migrations)


def _check(path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    header = Header.of(connection)
    check_header(path, header, migrations)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if header == Header(0, 0):
        if tables:
            raise foreign(path)
        return
    (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise damaged(path, problem)
    check_history(path, connection, migrations)


def _header_in_wal(wal: Path, main: Header) -> Header:
    """Return the header that the committed part of the log leads to.

    SQLite itself reads a copy of the log, laid over an empty database that has
    ``main`` as its header. Where that cannot be done (no room for the copy; the
    log has just been rolled in) ``main`` has to do: the version is checked
    again under lock before anything is changed.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="standby-ci-inspect-") as scratch:
            copy = Path(scratch, "copy.db")
            _write_header(copy, main)
            shutil.copyfile(wal, _wal_of(copy))
            with closing(sqlite3.connect(copy)) as connection:
                return Header.of(connection)
    except OSError:
        return main


def _write_header(path: Path, header: Header) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {header.application_id}")
        connection.execute(f"PRAGMA user_version = {header.version}")


def _connect(path: Path, options: str, busy_timeout: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout)


def _wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _fingerprint(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (None, _size(_wal_of(path)))
    return (status.st_ino, status.st_mtime_ns, status.st_size, _size(_wal_of(path)))
