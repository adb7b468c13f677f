"""Webhooks in memory: the contract of ``WebhookStore`` without a database."""

import itertools
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ci_common.access import Within
from ci_common.errors import DeliveryNotFound, InvalidTransition, WebhookNotFound
from ci_common.webhooks import Attempt, Delivery, DeliveryState, Due, Next, Webhook
from ci_common.webhooks.model import LONGEST_WAIT

if TYPE_CHECKING:
    from ci_common.job_events import StoredEvent

PENDING = DeliveryState.PENDING


class InMemoryWebhookStore:
    """Complete, but gone with the process. ``events`` and ``jobs`` are the test's to fill."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.jobs = {}
        self._webhooks: dict[str, Webhook] = {}
        self._since: dict[str, int] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._numbers = itertools.count(1)
        self._cursor = 0

    async def add(self, webhook: Webhook) -> Webhook:
        self._webhooks[webhook.id] = webhook
        self._since[webhook.id] = self._latest()
        return webhook

    async def get(self, webhook_id: str, *, within: Within = None) -> Webhook:
        found = self._webhooks.get(webhook_id)
        if found is None or (within is not None and found.organisation not in within):
            raise WebhookNotFound
        return found

    async def all(self, *, within: Within = None) -> list[Webhook]:
        every = self._webhooks.values()
        return [each for each in every if within is None or each.organisation in within]

    async def change(self, webhook: Webhook) -> Webhook:
        found = await self.get(webhook.id)
        secrets = {
            "secret": found.secret,
            "old_secret": found.old_secret,
            "old_secret_until": found.old_secret_until,
        }
        why, failing = found.disabled_reason, found.failing_since
        if webhook.enabled and not found.enabled:
            self._since[webhook.id] = self._latest()
            failing = None
        if webhook.enabled or found.enabled:
            why = None
        self._webhooks[webhook.id] = replace(
            webhook,
            organisation=found.organisation,
            disabled_reason=why,
            failing_since=failing,
            **secrets,
        )
        return self._webhooks[webhook.id]

    async def rotate(self, webhook_id: str, *, secret: str, old_until: datetime) -> Webhook:
        found = await self.get(webhook_id)
        self._webhooks[webhook_id] = replace(
            found, secret=secret, old_secret=found.secret, old_secret_until=old_until
        )
        return self._webhooks[webhook_id]

    async def remove(self, webhook_id: str) -> None:
        await self.get(webhook_id)
        del self._webhooks[webhook_id]
        kept = {k: v for k, v in self._deliveries.items() if v.webhook_id != webhook_id}
        self._deliveries = kept

    async def collect(self, render, *, now: datetime, limit: int) -> int:
        enabled = [each for each in self._webhooks.values() if each.enabled]
        if not enabled:
            return 0
        start = max(self._cursor, min(self._since[each.id] for each in enabled))
        changes = [each for each in self.events if each.seq > start][:limit]
        for change in changes:
            for webhook in enabled:
                if change.seq > self._since[webhook.id] and webhook.wants(change):
                    body = render(change, self.jobs.get(change.job_id))
                    self._make(webhook.id, change.type.value, body, now, change.job_id)
            self._cursor = change.seq
        return len(changes)

    async def enqueue(self, webhook_id: str, *, kind: str, body: str, now: datetime) -> Delivery:
        await self._require_enabled(webhook_id)
        return self._make(webhook_id, kind, body, now, None)

    async def due(self, *, now: datetime, per_webhook: int) -> list[Due]:
        found = []
        for webhook in self._webhooks.values():
            waiting = [
                each
                for each in self._pending(webhook.id)
                if each.next_try <= now or each.next_try > now + LONGEST_WAIT
            ]
            waiting.sort(key=lambda each: (each.next_try, each.seq))
            if webhook.enabled:
                found += [Due(each, webhook) for each in waiting[:per_webhook]]
        return found

    async def next_try(self) -> datetime | None:
        enabled = [each.id for each in self._webhooks.values() if each.enabled]
        times = [each.next_try for name in enabled for each in self._pending(name)]
        return min(times, default=None)

    async def record(
        self, delivery_id: str, *, attempts: int, attempt: Attempt, then: Next
    ) -> bool:  # fmt: skip
        found = self._deliveries.get(delivery_id)
        if found is None or found.attempts != attempts or found.state is not PENDING:
            return False
        self._deliveries[delivery_id] = replace(
            found, state=then.state, next_try=then.next_try, attempts=attempts + 1,
            last_try=attempt.at, last_status=attempt.status, last_error=attempt.error,
            last_response=attempt.response, last_seconds=attempt.seconds,
        )  # fmt: skip
        webhook = self._webhooks[found.webhook_id]
        failing = None if attempt.error is None else webhook.failing_since or attempt.at
        webhook = replace(webhook, failing_since=failing)
        if then.disable is not None:
            webhook = replace(webhook, enabled=False, disabled_reason=then.disable)
            for each in self._pending(webhook.id):
                error = each.last_error or "the webhook was disabled before it was tried"
                self._deliveries[each.id] = replace(
                    each, state=DeliveryState.DEAD, next_try=None, last_error=error
                )
        self._webhooks[webhook.id] = webhook
        return True

    async def deliveries(
        self,
        *,
        limit: int,
        before: int | None = None,
        webhook_id: str | None = None,
        state: DeliveryState | None = None,
        within: Within = None,
    ) -> list[Delivery]:
        if webhook_id is not None:
            await self.get(webhook_id, within=within)
        visible = {each.id for each in await self.all(within=within)}
        fitting = [
            each
            for each in reversed(self._deliveries.values())
            if (before is None or each.seq < before)
            and each.webhook_id in visible
            and webhook_id in (None, each.webhook_id)
            and state in (None, each.state)
        ]
        return fitting[:limit]

    async def delivery(self, delivery_id: str, *, within: Within = None) -> Delivery:
        found = self._deliveries.get(delivery_id)
        visible = {each.id for each in await self.all(within=within)}
        if found is None or found.webhook_id not in visible:
            raise DeliveryNotFound
        return found

    async def redeliver(self, delivery_id: str, *, now: datetime) -> Delivery:
        found = await self.delivery(delivery_id)
        await self._require_enabled(found.webhook_id)
        self._deliveries[delivery_id] = replace(
            found, state=PENDING, next_try=now, schedule_from=found.attempts
        )
        return self._deliveries[delivery_id]

    async def prune(self, *, before: datetime) -> int:
        old = [
            each.id
            for each in self._deliveries.values()
            if each.state is not PENDING and each.created_at < before
        ]
        for delivery_id in old:
            del self._deliveries[delivery_id]
        return len(old)

    def _latest(self) -> int:
        return max((each.seq for each in self.events), default=0)

    def _pending(self, webhook_id: str) -> list[Delivery]:
        of_it = (each for each in self._deliveries.values() if each.webhook_id == webhook_id)
        return [each for each in of_it if each.state is PENDING]

    async def _require_enabled(self, webhook_id: str) -> None:
        if not (await self.get(webhook_id)).enabled:
            raise InvalidTransition

    def _make(
        self, webhook_id: str, kind: str, body: str, now: datetime, job_id: str | None
    ) -> Delivery:  # fmt: skip
        seq = next(self._numbers)
        made = Delivery(
            id=f"msg_{seq}", seq=seq, webhook_id=webhook_id, type=kind, body=body, created_at=now,
            job_id=job_id, next_try=now,
        )  # fmt: skip
        self._deliveries[made.id] = made
        return made
