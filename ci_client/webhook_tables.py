"""Webhooks and deliveries, as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.table import aligned, time_of
from ci_client.terminal import printable

_WEBHOOKS = ("WEBHOOK", "STATE", "TYPES", "ONLY", "URL", "DESCRIPTION")
_DELIVERIES = ("DELIVERY", "STATE", "TYPE", "JOB", "MADE", "TRIES", "LAST", "NEXT TRY")
_SHORT_JOB = 8


def webhooks_table(webhooks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each webhook, aligned; nothing for none."""
    return aligned([_WEBHOOKS, *map(_webhook, webhooks)]) if webhooks else []


def deliveries_table(deliveries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each delivery, aligned; nothing for none."""
    return aligned([_DELIVERIES, *map(_delivery, deliveries)]) if deliveries else []


def state_of_webhook(webhook: Mapping[str, Any]) -> str:
    """Return how a webhook fares, in a word."""
    if not webhook.get("enabled"):
        return "disabled"
    return "failing" if webhook.get("failing_since") else "enabled"


def outcome_of(delivery: Mapping[str, Any]) -> str:
    """Return what came of the latest try."""
    if not delivery.get("attempts"):
        return ""
    error = delivery.get("last_error")
    return printable(str(error)) if error else str(delivery.get("last_status") or "")


def _webhook(webhook: Mapping[str, Any]) -> tuple[str, ...]:
    only = [*(webhook.get("projects") or ()), *(webhook.get("reasons") or ())]
    return (
        str(webhook["id"]),
        state_of_webhook(webhook),
        ",".join(webhook.get("types") or ()),
        printable(",".join(only)),
        printable(str(webhook["url"])),
        printable(str(webhook.get("description") or "")),
    )


def _delivery(delivery: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(delivery["id"]),
        str(delivery["state"]),
        str(delivery["type"]),
        str(delivery.get("job_id") or "")[:_SHORT_JOB],
        time_of(delivery.get("created_at")),
        str(delivery.get("attempts")),
        outcome_of(delivery),
        time_of(delivery.get("next_try")),
    )
