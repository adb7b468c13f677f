"""The audit log as the server writes it: who did what through HTTP, and on the machine."""

import logging
import os
import pwd
from datetime import datetime
from typing import Any

from litestar.connection import ASGIConnection

from ci_common.access import Actor
from ci_common.audit import (
    JOB_ACTIONS,
    ON_THE_MACHINE,
    AuditedAction,
    AuditEntry,
    AuditLog,
    Outcome,
)
from ci_common.clock import SystemClock
from ci_common.errors import CIError
from ci_server.access import actor_of
from ci_server.clients import client_address
from ci_server.parts import parts_of
from ci_server.request_ids import request_id_of

AnyConnection = ASGIConnection[Any, Any, Any, Any]

_logger = logging.getLogger(__name__)


async def audit(
    connection: AnyConnection,
    action: AuditedAction,
    subject: str = "",
    *,
    organisation: str | None = None,
    detail: str | None = None,
    outcome: Outcome = Outcome.OK,
    actor: Actor | None = None,
) -> None:
    """Write down what a request has done; to be called when that is on disk.

    ``subject`` names what it was done to, as people know it: ``alice``,
    ``key_3f2a of alice``, a job's id. Neither it nor ``detail`` may hold anything
    secret. ``organisation``: the id of the one it concerns, None for the server.
    ``actor``: who did it, where that is not who the request's credential names, as
    at a sign-in. An entry that cannot be written goes to the server's log instead:
    what was done stays done.
    """
    who = actor or actor_of(connection)
    if who.unlimited and action in JOB_ACTIONS:
        return
    entry = entry_of(
        connection,
        action,
        subject,
        organisation=organisation,
        detail=detail,
        outcome=outcome,
        actor=who,
    )
    await write_down(parts_of(connection.app.state).audit, entry)


def entry_of(
    connection: AnyConnection,
    action: AuditedAction,
    subject: str,
    *,
    organisation: str | None = None,
    detail: str | None = None,
    outcome: Outcome = Outcome.OK,
    actor: Actor | None = None,
) -> AuditEntry:
    """Return the entry of what a request has done, or was refused, at this moment."""
    who = actor or actor_of(connection)
    return AuditEntry(
        at=SystemClock().now().wall,
        action=action,
        subject=subject,
        outcome=outcome,
        actor_id=who.user_id,
        actor=who.name,
        credential=who.credential.value,
        credential_id=who.credential_id,
        address=client_address(connection),
        request_id=request_id_of(connection.scope),
        organisation=organisation or "",
        detail=detail or "",
    )


async def write_down(log: AuditLog, entry: AuditEntry) -> None:
    """Write an entry, or, where that fails, say it in the server's log."""
    try:
        await log.record(entry)
    except CIError as error:
        _logger.error("the audit log could not be written (%s): %r", error.detail, entry)


def by_operator(
    action: AuditedAction,
    subject: str = "",
    *,
    organisation: str | None = None,
    detail: str | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Return the entry of what is done by ``ci admin``, as the user of the operating system."""
    return AuditEntry(
        at=at or SystemClock().now().wall,
        action=action,
        subject=subject,
        actor=_operator(),
        credential=ON_THE_MACHINE,
        organisation=organisation or "",
        detail=detail or "",
    )


def _operator() -> str:
    """Return the account of the operating system, and who became it by ``sudo``."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    before = os.environ.get("SUDO_USER")
    return f"{name} ({before})" if before and before != name else name
