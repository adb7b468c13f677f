"""Webhooks in SQLite (see ``WebhookStore`` for the contract)."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ci_common.access import Within
from ci_common.errors import DeliveryNotFound, InvalidTransition, WebhookNotFound
from ci_common.job_events import StoredEvent
from ci_common.jobs import Job
from ci_common.webhooks import Attempt, Delivery, DeliveryState, Due, Next, Render, Webhook
from ci_common.webhooks.model import LONGEST_WAIT
from ci_persistence import job_statements
from ci_persistence import webhook_statements as sql
from ci_persistence.database import Database, Transaction
from ci_persistence.job_rows import from_microseconds, job_from_row, to_microseconds
from ci_persistence.webhook_rows import (
    change_from_row,
    columns_of,
    delivery_from_row,
    storable,
    webhook_from_row,
)

_MAX_SEQ = 2**63 - 1


class SQLiteWebhookStore:
    """The tables ``webhooks``, ``webhook_deliveries`` and ``webhook_cursor``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook) -> Webhook:
        """Store a webhook; it is told of what happens from now on."""
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.ADD, columns_of(webhook))
            return await _webhook(transaction, webhook.id)

    async def get(self, webhook_id: str, *, within: Within = None) -> Webhook:
        """Return a webhook. Raises ``WebhookNotFound``."""
        row = await self._database.fetch_one(sql.BY_ID, (storable(webhook_id),))
        if row is None or (within is not None and row["organisation"] not in within):
            raise _no_webhook(webhook_id)
        return webhook_from_row(row)

    async def all(self, *, within: Within = None) -> Sequence[Webhook]:
        """Return every webhook of the organisations, the oldest first."""
        statement = sql.ALL if within is None else sql.ALL_WITHIN
        rows = await self._database.fetch_all(statement, _limit(within))
        return [webhook_from_row(row) for row in rows]

    async def change(self, webhook: Webhook) -> Webhook:
        """Write everything of a webhook but its secrets. Raises ``WebhookNotFound``."""
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.CHANGE_WEBHOOK, columns_of(webhook))
            return await _webhook(transaction, webhook.id)

    async def rotate(self, webhook_id: str, *, secret: str, old_until: datetime) -> Webhook:
        """Give a webhook a new secret. Raises ``WebhookNotFound``."""
        values = {"id": webhook_id, "secret": secret, "until": to_microseconds(old_until)}
        async with self._database.transaction() as transaction:
            await transaction.execute(sql.ROTATE, values)
            return await _webhook(transaction, webhook_id)

    async def remove(self, webhook_id: str) -> None:
        """Delete a webhook with all of its deliveries. Raises ``WebhookNotFound``."""
        async with self._database.transaction() as transaction:
            if not await transaction.execute(sql.REMOVE, (storable(webhook_id),)):
                raise _no_webhook(webhook_id)

    async def collect(self, render: Render, *, now: datetime, limit: int) -> int:
        """Make deliveries of the next ``limit`` events; return how many events that were."""
        place = await self._database.fetch_one(sql.PLACE)
        if place is None:
            return 0
        rows = await self._database.fetch_all(
            sql.CHANGES, {"start": place["start"], "limit": limit}
        )
        if not rows:
            return 0
        changes = [change for change in map(change_from_row, rows) if change is not None]
        deliveries = await self._deliveries_of(changes, render, now)
        # Read before, written now: a long list of events keeps no job's write waiting.
        async with self._database.transaction() as transaction:
            values = {"last": rows[-1]["seq"], "cursor": place["cursor"]}
            if await transaction.execute(sql.ADVANCE, values):
                await transaction.execute_many(sql.ADD_DELIVERY, deliveries)
        return len(rows)

    async def _deliveries_of(
        self, changes: Sequence[StoredEvent], render: Render, now: datetime
    ) -> Sequence[Mapping[str, Any]]:
        enabled = [
            (row["since"], webhook_from_row(row))
            for row in await self._database.fetch_all(sql.ENABLED)
        ]
        wanted = [
            (webhook.id, change)
            for change in changes
            for since, webhook in enabled
            if change.seq > since and webhook.wants(change)
        ]
        jobs = await self._jobs({change.job_id for _, change in wanted})
        moment = to_microseconds(now)
        return [
            {
                "id": _new_message_id(),
                "webhook": webhook_id,
                "event": change.seq,
                "type": change.type.value,
                "job_id": change.job_id,
                "body": render(change, jobs.get(change.job_id)),
                "now": moment,
            }
            for webhook_id, change in wanted
        ]

    async def _jobs(self, job_ids: set[str]) -> Mapping[str, Job]:
        if not job_ids:
            return {}
        named = msgspec.json.encode(sorted(job_ids)).decode()
        rows = await self._database.fetch_all(job_statements.BY_IDS, (named,))
        return {row["id"]: job_from_row(row) for row in rows}

    async def enqueue(self, webhook_id: str, *, kind: str, body: str, now: datetime) -> Delivery:
        """Make a delivery of no event. Raises ``WebhookNotFound``, ``InvalidTransition``."""
        message_id = _new_message_id()
        values = {
            "id": message_id,
            "webhook": storable(webhook_id),
            "event": None,
            "type": kind,
            "job_id": None,
            "body": body,
            "now": to_microseconds(now),
        }
        async with self._database.transaction() as transaction:
            await _require_enabled(transaction, webhook_id)
            await transaction.execute(sql.ADD_DELIVERY, values)
            return await _delivery(transaction, message_id)

    async def due(self, *, now: datetime, per_webhook: int) -> Sequence[Due]:
        """Return the deliveries to try now: of each enabled webhook the first that are due."""
        moments = {
            "now": to_microseconds(now),
            "latest": to_microseconds(now + LONGEST_WAIT),
            "limit": per_webhook,
        }
        found = []
        for webhook in map(webhook_from_row, await self._database.fetch_all(sql.ENABLED)):
            rows = await self._database.fetch_all(sql.DUE, moments | {"webhook": webhook.id})
            found += [Due(delivery_from_row(row), webhook) for row in rows]
        return found

    async def next_try(self) -> datetime | None:
        """Return when the next delivery is due, which may be past; None if none is pending."""
        row = await self._database.fetch_one(sql.NEXT_TRY)
        return None if row is None or row[0] is None else from_microseconds(row[0])

    async def record(
        self, delivery_id: str, *, attempts: int, attempt: Attempt, then: Next
    ) -> bool:
        """Write down how a try went and what follows, for its webhook too."""
        values = {
            "id": delivery_id,
            "attempts": attempts,
            "state": then.state.value,
            "next_try": None if then.next_try is None else to_microseconds(then.next_try),
            "at": to_microseconds(attempt.at),
            "status": attempt.status,
            "error": storable(attempt.error),
            "response": storable(attempt.response),
            "seconds": attempt.seconds,
        }
        async with self._database.transaction() as transaction:
            if not await transaction.execute(sql.RECORD, values):
                return False
            failed = {"id": delivery_id, "at": values["at"]}
            if attempt.error is None:
                await transaction.execute(sql.ARRIVED, {"id": delivery_id})
            else:
                await transaction.execute(sql.FAILED, failed)
            if then.disable is not None:
                await transaction.execute(sql.DISABLE, {"id": delivery_id, "why": then.disable})
                await transaction.execute(sql.GIVE_UP, {"id": delivery_id})
        return True

    async def deliveries(
        self,
        *,
        limit: int,
        before: int | None = None,
        webhook_id: str | None = None,
        state: DeliveryState | None = None,
        within: Within = None,
    ) -> Sequence[Delivery]:
        """Return at most ``limit`` deliveries, newest first. Raises ``WebhookNotFound``."""
        if webhook_id is not None:
            await self.get(webhook_id, within=within)
        limited = within is not None
        query = sql.page(of_webhook=webhook_id is not None, state=state, limited=limited)
        values: dict[str, Any] = {
            "before": _MAX_SEQ if before is None else before,
            "limit": limit,
            "webhook": webhook_id,
            **_limit(within),
        }
        rows = await self._database.fetch_all(query, values)
        return [delivery_from_row(row) for row in rows]

    async def delivery(self, delivery_id: str, *, within: Within = None) -> Delivery:
        """Return a delivery. Raises ``DeliveryNotFound``."""
        row = await self._database.fetch_one(sql.DELIVERY_BY_ID, (storable(delivery_id),))
        if row is None:
            raise _no_delivery(delivery_id)
        try:
            await self.get(row["webhook"], within=within)
        except WebhookNotFound:
            raise _no_delivery(delivery_id) from None
        return delivery_from_row(row)

    async def redeliver(self, delivery_id: str, *, now: datetime) -> Delivery:
        """Have a delivery tried now. Raises ``DeliveryNotFound``, ``InvalidTransition``."""
        async with self._database.transaction() as transaction:
            delivery = await _delivery(transaction, delivery_id)
            await _require_enabled(transaction, delivery.webhook_id)
            await transaction.execute(
                sql.REDELIVER, {"id": delivery_id, "now": to_microseconds(now)}
            )
            return await _delivery(transaction, delivery_id)

    async def prune(self, *, before: datetime) -> int:
        """Delete deliveries made before then that are not pending; return how many."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql.PRUNE, {"before": to_microseconds(before)})


def _limit(within: Within) -> dict[str, Any]:
    return {} if within is None else {"within": msgspec.json.encode(sorted(within)).decode()}


async def _webhook(transaction: Transaction, webhook_id: str) -> Webhook:
    row = await transaction.fetch_one(sql.BY_ID, (storable(webhook_id),))
    if row is None:
        raise _no_webhook(webhook_id)
    return webhook_from_row(row)


async def _delivery(transaction: Transaction, delivery_id: str) -> Delivery:
    row = await transaction.fetch_one(sql.DELIVERY_BY_ID, (storable(delivery_id),))
    if row is None:
        raise _no_delivery(delivery_id)
    return delivery_from_row(row)


async def _require_enabled(transaction: Transaction, webhook_id: str) -> None:
    webhook = await _webhook(transaction, webhook_id)
    if not webhook.enabled:
        why = f": {webhook.disabled_reason}" if webhook.disabled_reason else ""
        raise InvalidTransition(
            f"webhook {webhook.id} is disabled{why}",
            hint=f"Enable it first: ci webhooks enable {webhook.id}",
        )


def _new_message_id() -> str:
    return f"msg_{secrets.token_hex(16)}"


def _no_webhook(webhook_id: str) -> WebhookNotFound:
    return WebhookNotFound(
        f"there is no webhook {webhook_id!r}", hint="ci webhooks ls shows those there are"
    )


def _no_delivery(delivery_id: str) -> DeliveryNotFound:
    return DeliveryNotFound(
        f"there is no delivery {delivery_id!r}",
        hint="ci webhooks deliveries shows those there are; old ones are removed after a while",
    )
