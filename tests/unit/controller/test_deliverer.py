"""Delivering, with a clock and receivers that the test plays."""

import asyncio
import random
from datetime import timedelta

import pytest

from ci_common.errors import DatabaseFull
from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason
from ci_common.signals import WEBHOOKS, LocalSignals, job_topic
from ci_common.webhooks import Attempt, DeliveryState, Webhook
from ci_controller.webhooks.deliverer import Deliverer, DelivererSettings
from ci_controller.webhooks.schedule import Schedule
from tests.fakes.clock import FakeClock
from tests.fakes.webhooks import InMemoryWebhookStore

HOUR = 3600.0


class Receivers:
    """Answer by the URL of the webhook, or hold the message until they are let go."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.sent: list[tuple[str, str]] = []
        self.status: dict[str, int] = {}
        self.holding: dict[str, asyncio.Event] = {}
        self.came = asyncio.Event()

    async def send(self, delivery, webhook) -> Attempt:
        self.sent.append((webhook.url, delivery.id))
        self.came.set()
        if webhook.url in self.holding:
            await self.holding[webhook.url].wait()
        status = self.status.get(webhook.url, 204)
        error = None if status == 204 else f"it answered {status}"
        return Attempt(at=self.clock.now().wall, seconds=0.0, status=status, error=error)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryWebhookStore()
        self.signals = LocalSignals()
        self.receivers = Receivers(self.clock)
        self.leads = True
        self.deliverer = self.build()

    def build(self, interval: float = HOUR) -> Deliverer:
        settings = DelivererSettings(
            interval=interval, schedule=Schedule(retries=(5.0, 60.0), disable_after=HOUR)
        )
        return Deliverer(
            self.store, self.receivers, self.signals, self.clock, settings,
            leads=lambda: self.leads, rng=random.Random(1),
        )  # fmt: skip

    async def add(self, name: str = "a") -> Webhook:
        url = f"https://{name}.example/"
        return await self.store.add(
            Webhook(id=f"wh_{name}", url=url, secret="s", created_at=self.clock.now().wall)
        )

    def end_job(self, number: int = 1) -> None:
        for _ in range(number):
            seq = len(self.store.events) + 1
            self.store.events.append(
                StoredEvent(
                    seq=seq, at=self.clock.now().wall, type=EventType.ENDED, job_id=f"j{seq}",
                    project="p", submitter="", attempt=1, reason=EndReason.PASSED,
                )
            )  # fmt: skip

    async def round(self) -> float:
        wait = await self.deliverer.round()
        await self.deliverer.idle()
        return wait

    def sent_to(self, name: str) -> list[str]:
        return [
            message for url, message in self.receivers.sent if url == f"https://{name}.example/"
        ]

    async def states(self) -> list[str]:
        return [each.state.value for each in await self.store.deliveries(limit=1000)]


@pytest.fixture
async def world():
    return World()


async def test_each_event_is_told_once_to_each(world):
    await world.add("a")
    await world.add("b")
    world.end_job(2)
    await world.round()
    await world.round()
    assert [len(world.sent_to(name)) for name in "ab"] == [2, 2]
    assert await world.states() == ["delivered"] * 4


async def test_a_failure_is_tried_again_at_its_time_with_the_same_id_until_it_is_dead(world):
    await world.add("a")
    world.receivers.status["https://a.example/"] = 500
    world.end_job()
    await world.round()
    wait = await world.round()
    assert len(world.receivers.sent) == 1
    assert 4.0 <= wait <= 6.0, "it wakes when the next try is due, and looks for nothing before"
    for waited, tries in ((3.9, 1), (2.2, 2), (47.0, 2), (26.0, 3), (HOUR, 3)):
        world.clock.advance(waited)
        await world.round()
        assert len(world.receivers.sent) == tries
    assert len(set(world.receivers.sent)) == 1
    assert await world.states() == ["dead"]


async def test_a_dead_one_is_delivered_when_somebody_asks(world):
    await world.add("a")
    world.receivers.status["https://a.example/"] = 500
    world.end_job()
    for _ in range(3):
        await world.round()
        world.clock.advance(HOUR / 4)
    (dead,) = await world.store.deliveries(limit=9, state=DeliveryState.DEAD)
    world.receivers.status.clear()
    await world.store.redeliver(dead.id, now=world.clock.now().wall)
    await world.round()
    assert await world.states() == ["delivered"]


async def test_one_that_hangs_delays_nobody_and_takes_no_more_than_its_share(world):
    await world.add("dead")
    await world.add("a")
    released = world.receivers.holding["https://dead.example/"] = asyncio.Event()
    world.end_job(50)
    async with asyncio.timeout(60):
        while len(world.sent_to("a")) < 50:
            await world.deliverer.round()
            tries = world.deliverer._tries.values()
            await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    assert len(world.sent_to("a")) == 50
    assert len(world.sent_to("dead")) == 2
    # One that is due before those that are under way is not one too many.
    earlier = world.clock.now().wall - timedelta(hours=1)
    await world.store.enqueue("wh_dead", kind="ping", body="{}", now=earlier)
    await world.deliverer.round()
    await asyncio.sleep(0)
    assert len(world.sent_to("dead")) == 2
    released.set()
    await world.deliverer.idle()


async def test_gone_disables_and_nothing_more_is_sent(world):
    await world.add("a")
    world.receivers.status["https://a.example/"] = 410
    world.end_job()
    await world.round()
    world.end_job(3)
    await world.round()
    webhook = await world.store.get("wh_a")
    assert (webhook.enabled, len(world.receivers.sent)) == (False, 1)
    assert "410" in webhook.disabled_reason


async def test_a_receiver_that_fails_for_long_is_disabled(world):
    await world.add("a")
    world.receivers.status["https://a.example/"] = 500
    for _ in range(5):
        world.end_job()
        await world.round()
        world.clock.advance(HOUR / 3)
    webhook = await world.store.get("wh_a")
    assert not webhook.enabled
    assert "nothing has arrived since 2026-01-01 00:00" in webhook.disabled_reason


async def test_what_cannot_be_written_down_is_not_sent_again(world, monkeypatch):
    """A full disk must not make us a flood."""
    await world.add("a")
    world.end_job()
    world.deliverer = world.build(interval=0.001)
    record, refused = world.store.record, []

    async def full(*arguments, **named):
        if len(refused) < 3:
            refused.append(1)
            await world.deliverer.round()
            raise DatabaseFull
        return await record(*arguments, **named)

    monkeypatch.setattr(world.store, "record", full)
    await world.round()
    assert len(world.receivers.sent) == 1
    assert await world.states() == ["delivered"]


async def test_what_is_over_is_kept_for_a_while(world):
    await world.add("a")
    world.end_job()
    await world.round()
    world.clock.advance(6 * 86_400)
    await world.round()
    assert len(await world.states()) == 1
    world.clock.advance(timedelta(days=1, hours=1).total_seconds())
    await world.round()
    assert await world.states() == []


class TestLoop:
    @pytest.fixture
    async def running(self, world):
        await world.add("a")
        yield world
        await world.deliverer.stop()

    async def sent(self, world, number: int) -> None:
        async with asyncio.timeout(60):
            while len(world.receivers.sent) < number:
                world.receivers.came.clear()
                await world.receivers.came.wait()

    async def looked(self, world, monkeypatch) -> None:
        """Start it and return when its first look is over."""
        next_try, over = world.store.next_try, asyncio.Event()

        async def noted():
            over.set()
            return await next_try()

        monkeypatch.setattr(world.store, "next_try", noted)
        await world.deliverer.start()
        async with asyncio.timeout(60):
            await over.wait()

    async def test_it_is_woken_by_what_happens_to_any_job(self, running, monkeypatch):
        """Its own interval is an hour."""
        await self.looked(running, monkeypatch)
        running.end_job()
        running.signals.notify(job_topic("j1"))
        await self.sent(running, 1)

    async def test_it_is_woken_by_who_asks_for_a_delivery(self, running, monkeypatch):
        await self.looked(running, monkeypatch)
        now = running.clock.now().wall
        await running.store.enqueue("wh_a", kind="ping", body="{}", now=now)
        running.signals.notify(WEBHOOKS)
        await self.sent(running, 1)

    async def test_who_does_not_lead_delivers_nothing(self, running):
        running.leads = False
        other = World()
        other.store, other.receivers, other.signals = (
            running.store, running.receivers, running.signals,
        )  # fmt: skip
        other.deliverer = other.build()
        await running.deliverer.start()
        await other.deliverer.start()
        running.end_job()
        running.signals.notify(job_topic("j1"))
        await self.sent(running, 1)
        await other.deliverer.stop()
        assert len(running.receivers.sent) == 1

    async def test_a_try_under_way_ends_before_the_server_does(self, running):
        released = running.receivers.holding["https://a.example/"] = asyncio.Event()
        running.end_job()
        await running.deliverer.start()
        running.signals.notify(WEBHOOKS)
        await self.sent(running, 1)
        asyncio.get_running_loop().call_soon(released.set)
        await running.deliverer.stop()
        assert await running.states() == ["delivered"]

    async def test_an_error_of_ours_does_not_end_it(self, running, monkeypatch, caplog):
        collect, failed = running.store.collect, asyncio.Event()

        async def broken(*arguments, **named):
            if not failed.is_set():
                failed.set()
                raise RuntimeError("a mistake")
            return await collect(*arguments, **named)

        monkeypatch.setattr(running.store, "collect", broken)
        await running.deliverer.start()
        await failed.wait()
        running.end_job()
        running.signals.notify(WEBHOOKS)
        await self.sent(running, 1)
        assert "internal error" in caplog.text
