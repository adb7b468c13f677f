"""The bodies of messages. Version 1; fields may be added to it, and none is changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ci_common.api.jobs import JobView, job_view
from ci_common.clock import format_utc
from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason, Job
from ci_common.webhooks.model import PING, Webhook

VERSION = 1


def job_message(change: StoredEvent, job: Job | None, public_url: str = "") -> str:
    """Return what is sent of a change: the job as it was then, and where there is more.

    Of a job that has been removed since, only what its event says is left.
    ``public_url`` is where the server is reached; without it links are paths.
    """
    data = {
        "event": change.seq,
        "job": _of_event(change) if job is None else _as_of(change, job_view(job)),
        "links": _links(change.job_id, public_url),
    }
    return _message(change.type.value, change.at, data)


def ping_message(webhook: Webhook, now: datetime) -> str:
    """Return what is sent to try the way."""
    return _message(PING, now, {"webhook": webhook.id, "description": webhook.description})


def _message(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    # Type, timestamp and data are where Standard Webhooks recommends them.
    body = {"type": kind, "version": VERSION, "timestamp": format_utc(at), "data": data}
    return msgspec.json.encode(body).decode()


def _of_event(change: StoredEvent) -> dict[str, Any]:
    ended = change.type is EventType.ENDED
    return {
        "job_id": change.job_id,
        "project": change.project,
        "submitter": change.submitter,
        "status": change.status,
        "attempt": change.attempt,
        "success": _success(change),
        "reason": change.reason if ended else None,
        "stopping": change.reason if change.type is EventType.STOPPING else None,
        "exit_code": change.exit_code,
        "detail": change.detail,
    }


def _as_of(change: StoredEvent, view: JobView) -> dict[str, Any]:
    """Return the job as it was: it may have gone on before the message was made."""
    began = change.type not in {EventType.QUEUED, EventType.REQUEUED}
    ended = change.type is EventType.ENDED
    seen: dict[str, Any] = msgspec.to_builtins(view)
    times = {
        "start_time": seen["start_time"] if began else None,
        "end_time": seen["end_time"] if ended else None,
    }
    if change.type is EventType.RUNNING:
        times["start_time"] = format_utc(change.at)
    return seen | _of_event(change) | times


def _success(change: StoredEvent) -> bool | None:
    return change.reason is EndReason.PASSED if change.type is EventType.ENDED else None


def _links(job_id: str, public_url: str) -> dict[str, str]:
    job = f"{public_url.rstrip('/')}/api/v1/jobs/{job_id}"
    return {"job": job, "log": f"{job}/log"}
