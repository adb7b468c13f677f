"""The audit log as tools beside a server read and write it. Everything here blocks."""

from collections.abc import Mapping
from pathlib import Path

from ci_common.audit import AuditEntry, AuditFilter, StoredEntry
from ci_persistence.audit import page_query, stored_entry
from ci_persistence.audit_chain import Head, append, verify
from ci_persistence.connections import reading, writing

_NAMES = "SELECT id, name FROM organisations"


def read_log(path: Path, wanted: AuditFilter, *, limit: int) -> list[StoredEntry]:
    """Return the latest ``limit`` wanted entries of a database, newest first.

    Raises ``DatabaseUnusable``, ``StorageBusy``.
    """
    query, values = page_query(wanted, limit=limit)
    with reading(path) as connection:
        return [stored_entry(row) for row in connection.execute(query, values)]


def read_organisations(path: Path) -> Mapping[str, str]:
    """Return the names of all organisations by id. Raises as ``read_log``."""
    with reading(path) as connection:
        return {row["id"]: row["name"] for row in connection.execute(_NAMES)}


def verify_log(path: Path, known: Head | None = None) -> Head:
    """Go over the whole log; return its latest entry. Raises ``ChainBroken``, as ``read_log``."""
    with reading(path) as connection:
        return verify(connection, known)


def write_entry(path: Path, entry: AuditEntry) -> None:
    """Write an entry. Raises ``DatabaseUnusable``, ``StorageBusy``, ``StorageFull``."""
    with writing(path) as connection:
        append(connection, entry)
