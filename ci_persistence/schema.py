"""The schema: numbered, forward-only migrations, each applied in one transaction.

``migrations/NNNN_<name>.sql`` brings version NNNN - 1 to NNNN. An applied file
is never edited: its hash is kept with its number and compared at each start.
``PRAGMA user_version`` is the version, ``PRAGMA application_id`` says that the
file is ours. Everything here blocks and is meant for a worker thread.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ci_common.errors import DatabaseUnusable
from ci_persistence.disk import ensure_folder, fsync_folder

APPLICATION_ID = 0x53434931
"""``SCI1``: what ``file`` and other programs can know our databases by."""

_RETRY_INTERVAL = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: the text of ``name`` brings it to ``version``."""

    version: int
    name: str
    script: str

    @property
    def sha256(self) -> str:
        """The hash by which an edited file is noticed."""
        return hashlib.sha256(self.script.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Header:
    """What the first page of a database says about whose it is."""

    application_id: int
    version: int

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> "Header":
        """Read the header that ``connection`` sees."""
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return cls(application_id, version)


def load_migrations(folder: Traversable | None = None) -> Sequence[Migration]:
    """Return the migrations of ``folder`` in order, by default our own.

    Raises:
        ValueError: their numbers are not 1, 2, 3, …

    """
    folder = folder or files(__package__) / "migrations"
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    migrations = [Migration(int(f.name[:4]), f.name, f.read_text("utf-8")) for f in scripts]
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"the migrations are not numbered without a gap: {migrations}")
    return migrations


def check_header(path: Path, header: Header, migrations: Sequence[Migration]) -> None:
    """Refuse a database that is another application's, or newer than ``migrations``.

    Raises:
        DatabaseUnusable: with the way out.

    """
    if header == Header(0, 0):
        return
    if header.application_id != APPLICATION_ID:
        raise foreign(path)
    if header.version > len(migrations):
        raise DatabaseUnusable(
            f"{path} was written by a newer version of Standby CI "
            f"(schema {header.version}, this one knows {len(migrations)})",
            hint="upgrade Standby CI, or use another database (CI_DB_PATH)",
        )


def check_history(
    path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration]
) -> None:
    """Refuse a database whose applied migrations are not the ones we have.

    Raises:
        DatabaseUnusable: one was edited after it was applied, or the record is incomplete.

    """
    applied = {}
    if _has_table(connection, "schema_migrations"):
        applied = dict(connection.execute("SELECT version, sha256 FROM schema_migrations"))
    version = Header.of(connection).version
    if sorted(applied) != list(range(1, version + 1)):
        raise DatabaseUnusable(
            f"{path} does not say which migrations made it", hint="restore it from a backup"
        )
    for migration in migrations[:version]:
        if applied[migration.version] != migration.sha256:
            raise DatabaseUnusable(
                f"the migration {migration.name} was edited after it was applied to {path}",
                hint="reinstall Standby CI; a change of the schema needs a new migration",
            )


def foreign(path: Path) -> DatabaseUnusable:
    """Return the refusal of a file that some other application made."""
    return DatabaseUnusable(
        f"{path} is a SQLite database of another application",
        hint="give Standby CI a file of its own (CI_DB_PATH)",
    )


def upgrade(path: Path, migrations: Sequence[Migration], *, busy_timeout: float) -> None:
    """Create the database if needed and apply what is missing.

    Any number of processes may do this at once: each migration happens once.

    Raises:
        DatabaseUnusable: the file system does not support WAL, or another
            process has brought the schema further than we know.
        sqlite3.Error: from SQLite; the migration at hand was rolled back.

    """
    ensure_folder(path.parent)
    _create(path)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=busy_timeout)) as connection:
        _use_wal(path, connection, busy_timeout)
        connection.execute("PRAGMA synchronous = FULL")
        for migration in migrations:
            _apply(connection, migration)
        check_header(path, Header.of(connection), migrations)
    fsync_folder(path.parent)


def _create(path: Path) -> None:
    # SQLite would make it readable to all; recipes can hold secrets. The other files
    # beside it get the same permissions from SQLite.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _use_wal(path: Path, connection: sqlite3.Connection, busy_timeout: float) -> None:
    deadline = time.monotonic() + busy_timeout
    mode = None
    while mode is None:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            # The switch needs the file to itself, and SQLite does not wait for that.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_INTERVAL)
    if mode != "wal":
        raise DatabaseUnusable(
            f"{path} is on a file system that SQLite's write-ahead log does not work on",
            hint="put it on a local disk (CI_DB_PATH)",
        )


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    if Header.of(connection).version >= migration.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Only now is it sure that no other process is applying it.
        if Header.of(connection).version < migration.version:
            _run(connection, migration)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _run(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL)"
    )
    for statement in _statements(migration.script):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_migrations VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'))",
        (migration.version, migration.name, migration.sha256),
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {migration.version}")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; ``executescript`` would commit our transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None
