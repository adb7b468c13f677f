"""Short connections to an existing database, for the tools that work beside a server.

Everything here blocks. Nothing creates a database, or upgrades one.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ci_common.errors import DatabaseUnusable
from ci_persistence.errors import translated
from ci_persistence.schema import (
    APPLICATION_ID,
    Header,
    check_header,
    check_history,
    foreign,
    load_migrations,
)

BUSY_TIMEOUT = 10.0
"""Seconds to wait for a server's write."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a connection that can only read.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know the schema of.
        StorageBusy: it stayed locked.

    """
    with _connected(path) as connection:
        connection.execute("PRAGMA query_only = ON")
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a write transaction: committed at the end, rolled back if anything is raised.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know the schema of.
        StorageBusy, StorageFull: nothing was changed.

    """
    with _connected(path) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise


def is_outdated(path: Path) -> bool:
    """Return whether the schema is an older one, which the next start of a server upgrades.

    Raises:
        DatabaseUnusable: there is no database, or none of ours that we know the schema of.
        StorageBusy: it stayed locked.

    """
    with reading(path) as connection:
        return Header.of(connection).version < len(load_migrations())


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DatabaseUnusable(
            f"there is no database at {path}",
            hint="name the server's with CI_DB_PATH, or --data-dir",
        )
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with (
        translated(path),
        closing(
            sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)
        ) as connection,
    ):
        connection.row_factory = sqlite3.Row
        _require_ours(path, connection)
        yield connection


def _require_ours(path: Path, connection: sqlite3.Connection) -> None:
    header, migrations = Header.of(connection), load_migrations()
    if header.application_id != APPLICATION_ID:
        raise foreign(path)
    check_header(path, header, migrations)
    check_history(path, connection, migrations)
