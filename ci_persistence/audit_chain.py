"""The chain of digests through the audit log: how it is made, and how it is gone over.

A row's digest is the SHA-256 of the digest before it and of all that the row
says. Who can write the file can also make the whole chain anew; therefore the
digest of the latest entry is shown, to be kept where the server cannot write.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ci_common.audit import LONGEST_TEXT, AuditEntry
from ci_persistence.job_rows import to_microseconds

COLUMNS = (
    "at",
    "action",
    "outcome",
    "subject",
    "actor_id",
    "actor",
    "credential",
    "credential_id",
    "address",
    "request_id",
    "organisation",
    "detail",
)
"""What an entry says, in the order in which the digest goes over it."""

_NAMES = f"seq, {', '.join(COLUMNS)}, sha256"
LATEST = "SELECT seq, sha256 FROM audit ORDER BY seq DESC LIMIT 1"
ADD = (
    f"INSERT INTO audit ({_NAMES}) VALUES"  # noqa: S608 -- constants
    f" (:seq, {', '.join(f':{name}' for name in COLUMNS)}, :sha256)"
)
_ALL = f"SELECT {_NAMES} FROM audit ORDER BY seq"  # noqa: S608 -- constants
_BEFORE_THE_FIRST = bytes(32)


@dataclass(frozen=True, slots=True)
class Head:
    """The latest entry of a log: ``seq`` is how many there are, 0 and zeros for none."""

    seq: int = 0
    digest: bytes = _BEFORE_THE_FIRST


class ChainBroken(Exception):
    """The log is not as it was written, from entry ``seq`` on."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(what)
        self.seq = seq
        self.what = what


def next_row(latest: Mapping[str, Any] | sqlite3.Row | None, entry: AuditEntry) -> dict[str, Any]:
    """Return the row of an entry that comes behind the row ``latest``, None for the first."""
    head = Head() if latest is None else Head(latest["seq"], latest["sha256"])
    values = _values_of(entry)
    seq = head.seq + 1
    return {**values, "seq": seq, "sha256": _digest(head.digest, seq, values)}


def append(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Write an entry within the write transaction that ``connection`` holds. Blocks."""
    connection.execute(ADD, next_row(connection.execute(LATEST).fetchone(), entry))


def verify(connection: sqlite3.Connection, known: Head | None = None) -> Head:
    """Go over the log from its beginning; return its latest entry. Blocks.

    ``known`` is what was the latest once: it has to be in the log still.

    Raises:
        ChainBroken: a row was changed, left out or put in, or ``known`` is not there.

    """
    head = Head()
    for row in connection.execute(_ALL):
        seq = head.seq + 1
        if row["seq"] != seq:
            raise ChainBroken(seq, f"entry {seq} is not there; the next one is {row['seq']}")
        expected = _digest(head.digest, seq, row)
        if row["sha256"] != expected:
            raise ChainBroken(seq, f"entry {seq} is not as it was written")
        head = Head(seq, expected)
        if known is not None and known.seq == seq and known.digest != expected:
            raise ChainBroken(seq, f"entry {seq} is another one than it was")
    if known is not None and known.seq > head.seq:
        raise ChainBroken(head.seq + 1, f"entry {known.seq} was there once, and is not any more")
    return head


def _values_of(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": to_microseconds(entry.at),
        "action": entry.action.value,
        "outcome": entry.outcome.value,
        "subject": _storable(entry.subject),
        "actor_id": _storable(entry.actor_id),
        "actor": _storable(entry.actor),
        "credential": _storable(entry.credential),
        "credential_id": _storable(entry.credential_id),
        "address": _storable(entry.address),
        "request_id": _storable(entry.request_id),
        "organisation": _storable(entry.organisation),
        "detail": _storable(entry.detail),
    }


def _storable(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= LONGEST_TEXT else clean[: LONGEST_TEXT - 1] + "…"


def _digest(before: bytes, seq: int, values: Mapping[str, Any] | sqlite3.Row) -> bytes:
    said = msgspec.json.encode([seq, *(values[name] for name in COLUMNS)])
    return hashlib.sha256(before + said).digest()
