"""Entries of the audit log as HTTP shows them."""

import msgspec

from ci_common.audit import StoredEntry
from ci_common.clock import format_utc


class AuditEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did, or was not let do. ``at`` is UTC in RFC 3339 with a ``Z``.

    ``outcome`` is ``ok`` or ``refused``. ``credential`` is the kind of what the
    actor was known by: ``key``, ``token``, ``session``, ``none``, or ``machine`` for
    an account of the operating system; ``credential_id`` its public id. ``organisation``
    is a name, ``""`` for the server as a whole. ``digest`` is the SHA-256 of this entry
    and the one before it.
    """

    seq: int
    at: str
    action: str
    outcome: str
    actor: str
    actor_id: str
    credential: str
    credential_id: str
    address: str
    request_id: str
    organisation: str
    subject: str
    detail: str
    digest: str


def audit_entry_view(stored: StoredEntry, organisation: str) -> AuditEntryView:
    """Return an entry as it is shown; ``organisation`` is the name of its organisation."""
    entry = stored.entry
    return AuditEntryView(
        seq=stored.seq,
        at=format_utc(entry.at),
        action=entry.action.value,
        outcome=entry.outcome.value,
        actor=entry.actor,
        actor_id=entry.actor_id,
        credential=entry.credential,
        credential_id=entry.credential_id,
        address=entry.address,
        request_id=entry.request_id,
        organisation=organisation,
        subject=entry.subject,
        detail=entry.detail,
        digest=stored.digest.hex(),
    )
