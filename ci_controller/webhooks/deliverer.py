"""Makes deliveries of events and tries them, beside the controller and for it alone.

Nothing here is on the path of a job: what happens to jobs is written down with
the change itself, and read from there.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ci_common.clock import Clock
from ci_common.errors import CIError
from ci_common.job_events import StoredEvent
from ci_common.jobs import Job
from ci_common.signals import EVENTS, WEBHOOKS, Signals, Subscription
from ci_common.webhooks import Attempt, Due, Next, WebhookStore, job_message
from ci_controller.webhooks.schedule import Schedule
from ci_controller.webhooks.sending import Sender

_log = logging.getLogger(__name__)

_BATCH = 200
"""Events that are gone through at once."""

_FAREWELL = 2.0
"""Seconds in which tries under way may come to their end when the server stops."""

_PRUNE_INTERVAL = 3600.0

_BURST = 0.05
"""Seconds in which signals become one: jobs that start and end at once come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelivererSettings:
    """``interval``: seconds between two looks, should a signal be lost.

    ``per_webhook``: tries that are under way to one receiver at once. ``keep``:
    seconds that deliveries which are over are kept. ``public_url``: where
    the server is reached.
    """

    interval: float = 2.0
    per_webhook: int = 2
    keep: float = 7 * 86_400.0
    public_url: str = ""
    schedule: Schedule


class Deliverer:
    """Delivers while ``leads()`` is true, of all processes of a data directory one at a time.

    Should two lead for a moment, a receiver gets a message twice and sees by
    its id that it is one.
    """

    def __init__(
        self,
        store: WebhookStore,
        sender: Sender,
        signals: Signals,
        clock: Clock,
        settings: DelivererSettings,
        *,
        leads: Callable[[], bool],
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._signals = signals
        self._clock = clock
        self._settings = settings
        self._leads = leads
        self._rng = rng or random.Random()  # noqa: S311 -- it spreads tries, it keeps no secret
        self._wake = Subscription()
        self._loop_task: asyncio.Task[None] | None = None
        self._tries: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        self._pruned_at: float | None = None

    async def start(self) -> None:
        """Begin to deliver. Idempotent."""
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._run(), name="webhooks")

    async def stop(self) -> None:
        """Let the tries under way end, but not for long; what is left goes on later. Idempotent."""
        if self._loop_task is None:
            return
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        self._loop_task = None
        tries = tuple(self._tries.values())
        if tries:
            await asyncio.wait(tries, timeout=_FAREWELL)
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)

    async def round(self) -> float:
        """Make the deliveries there are to make, begin the tries that are due.

        Returns:
            Seconds until there may be something to do again.

        Raises:
            StorageBusy, DatabaseFull: from the database; the next round goes on.

        """
        now = self._clock.now()
        while await self._store.collect(self._render, now=now.wall, limit=_BATCH) == _BATCH:
            pass
        for due in await self._store.due(now=now.wall, per_webhook=self._settings.per_webhook):
            self._begin(due)
        await self._prune_if_due()
        return await self._until_next(now.wall)

    async def idle(self) -> None:
        """Return once no try is under way. For tests."""
        while self._tries:
            await asyncio.gather(*self._tries.values(), return_exceptions=True)

    async def _run(self) -> None:
        with self._signals.subscribe(EVENTS, WEBHOOKS) as self._wake:
            while True:
                wait = self._settings.interval
                try:
                    if self._leads():
                        wait = await self.round()
                except CIError as error:
                    _log.warning("delivering to webhooks failed, trying again: %s", error.detail)
                except Exception:  # noqa: BLE001 -- the loop outlives our mistakes
                    _log.exception("delivering to webhooks met an internal error")
                if await self._wake.wait(wait):
                    await asyncio.sleep(_BURST)

    def _render(self, change: StoredEvent, job: Job | None) -> str:
        return job_message(change, job, self._settings.public_url)

    def _begin(self, due: Due) -> None:
        delivery, webhook = due.delivery, due.webhook
        busy = self._busy[webhook.id] >= self._settings.per_webhook
        if busy or delivery.id in self._tries:
            return
        self._busy[webhook.id] += 1
        task = asyncio.create_task(self._try(due), name=f"webhook-{delivery.id}")
        self._tries[delivery.id] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._tries[delivery.id]
            self._busy[webhook.id] -= 1
            if task.cancelled():
                return
            if error := task.exception():
                # Not woken for it: the next look tries again, without a hot loop.
                _log.warning("delivery %s failed", delivery.id, exc_info=error)
            else:
                self._wake.deliver(WEBHOOKS)

        task.add_done_callback(ended)

    async def _try(self, due: Due) -> None:
        delivery, webhook = due.delivery, due.webhook
        attempt = await self._sender.send(delivery, webhook)
        then = self._settings.schedule.next(due, attempt, self._rng)
        await self._record(due, attempt, then)
        if then.disable is not None:
            _log.warning("webhook %s is disabled: %s", webhook.id, then.disable)
        elif attempt.error is not None:
            _log.info("webhook %s did not take %s: %s", webhook.id, delivery.id, attempt.error)

    async def _record(self, due: Due, attempt: Attempt, then: Next) -> None:
        """Write it down, however long that takes: what is not written is sent again."""
        delivery = due.delivery
        while True:
            try:
                await self._store.record(
                    delivery.id, attempts=delivery.attempts, attempt=attempt, then=then
                )
            except CIError as error:
                _log.warning("a try of %s is not written down yet: %s", delivery.id, error.detail)
                await asyncio.sleep(self._settings.interval)
            else:
                return

    async def _until_next(self, now: datetime) -> float:
        due_at = await self._store.next_try()
        if due_at is None:
            return self._settings.interval
        left = (due_at - now).total_seconds()
        # What is due already waits for a try to end, and is looked at when one does.
        return min(self._settings.interval, left) if left > 0 else self._settings.interval

    async def _prune_if_due(self) -> None:
        uptime = self._clock.now().uptime
        if self._pruned_at is not None and uptime - self._pruned_at < _PRUNE_INTERVAL:
            return
        self._pruned_at = uptime
        before = self._clock.now().wall - timedelta(seconds=self._settings.keep)
        await self._store.prune(before=before)
