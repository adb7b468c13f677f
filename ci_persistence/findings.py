"""What ``ci admin check`` can find, and what ``--repair`` does about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """The name of a fault. It never changes once released: scripts hang on it."""

    DATABASE_DAMAGED = "database_damaged"
    SCHEMA_OLD = "schema_old"
    ROW_UNREADABLE = "row_unreadable"
    ROW_IMPOSSIBLE = "row_impossible"
    ORGANISATION_MISSING = "organisation_missing"
    ADMIN_MISSING = "admin_missing"
    STASH_MISSING = "stash_missing"
    STASH_DAMAGED = "stash_damaged"
    STASH_ELSEWHERE = "stash_elsewhere"
    STASH_ORPHAN = "stash_orphan"
    PACK_ORPHAN = "pack_orphan"
    UPLOAD_ORPHAN = "upload_orphan"
    LOG_MISSING = "log_missing"
    LOG_SHORT = "log_short"
    LOG_UNEXPECTED = "log_unexpected"
    LOG_ORPHAN = "log_orphan"
    ARTIFACTS_MISSING = "artifacts_missing"
    ARTIFACTS_ORPHAN = "artifacts_orphan"
    AUDIT_CHANGED = "audit_changed"
    UNKNOWN_FILE = "unknown_file"
    PERMISSIONS = "permissions"
    RESERVE_MISSING = "reserve_missing"
    DISK_LOW = "disk_low"


REPAIRS: Mapping[Kind, str | None] = MappingProxyType(
    {
        Kind.DATABASE_DAMAGED: None,
        Kind.SCHEMA_OLD: None,
        Kind.ROW_UNREADABLE: "clear its recipe; end the job as infra_error if it has not ended",
        Kind.ROW_IMPOSSIBLE: None,
        Kind.ORGANISATION_MISSING: "make it again, without members, under a name of ours",
        Kind.ADMIN_MISSING: None,
        Kind.STASH_MISSING: "end the job as infra_error",
        Kind.STASH_DAMAGED: "end the job as infra_error, delete the zip",
        Kind.STASH_ELSEWHERE: "have the row name the zip in the stash",
        Kind.STASH_ORPHAN: "delete the zip",
        Kind.PACK_ORPHAN: "delete the pack",
        Kind.UPLOAD_ORPHAN: "delete the file",
        Kind.LOG_MISSING: "write a log that says so",
        Kind.LOG_SHORT: "have the attempt's output begin where the log ends (no server may run)",
        Kind.LOG_UNEXPECTED: "delete the log",
        Kind.LOG_ORPHAN: "delete the log",
        Kind.ARTIFACTS_MISSING: "forget that the job had artifacts",
        Kind.ARTIFACTS_ORPHAN: "delete the artifacts",
        Kind.AUDIT_CHANGED: None,
        Kind.UNKNOWN_FILE: None,
        Kind.PERMISSIONS: "take the rights of others away",
        Kind.RESERVE_MISSING: "set the room aside again",
        Kind.DISK_LOW: None,
    }
)
"""What ``--repair`` does; None where only a person can decide."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be.

    ``subject``: the id of a job or of another row, or a path. ``repairable`` is False where the
    kind can be repaired, but not in this case; ``what`` then says why.
    """

    kind: Kind
    subject: str
    what: str
    repairable: bool = True

    @property
    def repair(self) -> str | None:
        """What ``--repair`` would do, None for nothing."""
        return REPAIRS[self.kind] if self.repairable else None
