"""What ``ci admin audit`` does on the server's machine."""

import logging
import re
from dataclasses import replace

from ci_common.api.audit import AuditEntryView, audit_entry_view
from ci_common.audit import AuditedAction, AuditFilter
from ci_common.errors import CIError, InvalidRequest, OrganisationNotFound
from ci_persistence.audit_chain import ChainBroken, Head
from ci_persistence.audit_reading import read_log, read_organisations, verify_log, write_entry
from ci_persistence.connections import is_outdated
from ci_server import bootstrap
from ci_server.audit import by_operator
from ci_server.settings import Settings

__all__ = ["ChainBroken", "Head", "audit_entries", "known_head", "note_here", "verify_audit"]

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_logger = logging.getLogger(__name__)


def audit_entries(
    settings: Settings, wanted: AuditFilter, *, limit: int, organisation: str | None = None
) -> list[AuditEntryView]:
    """Return the latest entries that are wanted, of all organisations or the one of this name.

    Raises:
        OrganisationNotFound: there is none of that name.
        DatabaseUnusable: there is no database, or none of ours that we know.

    """
    path = bootstrap.data_directory(settings).database
    names = read_organisations(path)
    if organisation is not None:
        found = [each for each, name in names.items() if name.lower() == organisation.lower()]
        if not found:
            raise OrganisationNotFound(
                f"there is no organisation {organisation!r}", hint="ci admin org ls shows them"
            )
        wanted = replace(wanted, within=frozenset(found))
    entries = read_log(path, wanted, limit=limit)
    return [audit_entry_view(each, names.get(each.entry.organisation, "")) for each in entries]


def verify_audit(settings: Settings, known: Head | None = None) -> Head:
    """Go over the whole log; return its latest entry.

    Raises:
        ChainBroken: it is not as it was written.
        DatabaseUnusable: there is no database, or none of ours that we know.

    """
    return verify_log(bootstrap.data_directory(settings).database, known)


def known_head(text: str) -> Head:
    """Return the entry that ``SEQ:DIGEST`` names, as ``--verify`` has printed it.

    Raises:
        InvalidRequest: it does not.

    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(
            "--known: is not a number, a colon and 64 hexadecimal digits",
            hint="Give it as ci admin audit --verify has printed it.",
        )
    return Head(int(found[1]), bytes.fromhex(found[2]))


def note_here(
    settings: Settings, action: AuditedAction, subject: str = "", detail: str = ""
) -> None:
    """Write down what was done on the machine. Where that cannot be, it is logged instead."""
    path = bootstrap.data_directory(settings).database
    entry = by_operator(action, subject, detail=detail)
    try:
        # An older schema has no log yet; the server that upgrades it begins one.
        if not is_outdated(path):
            write_entry(path, entry)
    except CIError as error:
        _logger.warning("the audit log could not be written (%s): %r", error.detail, entry)
