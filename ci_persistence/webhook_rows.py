"""Webhooks and deliveries as rows."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason, JobStatus
from ci_common.webhooks import Delivery, DeliveryState, Webhook
from ci_persistence.job_rows import from_microseconds, to_microseconds

WEBHOOK = (
    "id, organisation, url, description, types, projects, reasons, secret, old_secret,"
    " old_secret_until, created, enabled, disabled_reason, failing_since"
)
DELIVERY = (
    "id, seq, webhook, type, job_id, body, created, state, attempts, schedule_from, next_try,"
    " last_try, last_status, last_error, last_response, last_seconds"
)
CHANGE = (
    "seq, at, type, job_id, organisation, project, submitter, status, attempt, reason,"
    " exit_code, detail"
)


def columns_of(webhook: Webhook) -> Mapping[str, Any]:
    """Return what is written of a webhook."""
    return {
        "id": webhook.id,
        "organisation": webhook.organisation,
        "url": webhook.url,
        "description": webhook.description,
        "types": _json([kind.value for kind in webhook.types]),
        "projects": _json(webhook.projects),
        "reasons": _json([reason.value for reason in webhook.reasons]),
        "secret": webhook.secret,
        "created": to_microseconds(webhook.created_at),
        "enabled": int(webhook.enabled),
    }


def webhook_from_row(row: sqlite3.Row) -> Webhook:
    """Return the webhook in a row that has ``WEBHOOK``."""
    return Webhook(
        id=row["id"],
        organisation=row["organisation"],
        url=row["url"],
        description=row["description"],
        types=[EventType(kind) for kind in msgspec.json.decode(row["types"])],
        projects=msgspec.json.decode(row["projects"], type=list[str]),
        reasons=[EndReason(reason) for reason in msgspec.json.decode(row["reasons"])],
        secret=row["secret"],
        old_secret=row["old_secret"],
        old_secret_until=_when(row["old_secret_until"]),
        created_at=from_microseconds(row["created"]),
        enabled=bool(row["enabled"]),
        disabled_reason=row["disabled_reason"],
        failing_since=_when(row["failing_since"]),
    )


def delivery_from_row(row: sqlite3.Row) -> Delivery:
    """Return the delivery in a row that has ``DELIVERY``."""
    return Delivery(
        id=row["id"],
        seq=row["seq"],
        webhook_id=row["webhook"],
        type=row["type"],
        job_id=row["job_id"],
        body=row["body"],
        created_at=from_microseconds(row["created"]),
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        schedule_from=row["schedule_from"],
        next_try=_when(row["next_try"]),
        last_try=_when(row["last_try"]),
        last_status=row["last_status"],
        last_error=row["last_error"],
        last_response=row["last_response"],
        last_seconds=row["last_seconds"],
    )


def change_from_row(row: sqlite3.Row) -> StoredEvent | None:
    """Return the event in a row that has ``CHANGE``; None if webhooks know none of its type."""
    if row["type"] not in set(EventType):
        return None
    return StoredEvent(
        seq=row["seq"],
        at=from_microseconds(row["at"]),
        type=EventType(row["type"]),
        job_id=row["job_id"],
        project=row["project"],
        submitter=row["submitter"],
        organisation=row["organisation"],
        attempt=row["attempt"],
        status=None if row["status"] is None else JobStatus(row["status"]),
        reason=None if row["reason"] is None else EndReason(row["reason"]),
        exit_code=row["exit_code"],
        detail=row["detail"],
    )


def storable(text: str | None) -> str | None:
    """Return ``text`` without lone surrogates, which SQLite does not take."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _when(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)
