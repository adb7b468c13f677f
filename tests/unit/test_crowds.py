"""Signals to a crowd: fewer of them, none of them lost."""

import asyncio

import pytest

from ci_common import signals
from ci_common.signals import CROWD, EVENTS, QUEUE, LocalSignals, job_topic, log_topic
from tests.waiting import LONGEST

LOG = log_topic("j")


async def wakes(hub: LocalSignals, topic: str, listeners: int, times: int) -> list[int]:
    """Signal ``times``, letting the listeners run in between; return how often each was woken."""
    counts = [0] * listeners

    async def listen(number: int) -> None:
        with hub.subscribe(topic) as subscription:
            while True:
                await subscription.wait(LONGEST)
                counts[number] += 1

    tasks = [asyncio.create_task(listen(number)) for number in range(listeners)]
    for _ in range(3):
        await asyncio.sleep(0)
    for _ in range(times):
        hub.notify(topic)
        for _ in range(3):
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return counts


async def test_few_who_follow_a_log_are_told_at_once():
    assert await wakes(LocalSignals(), LOG, CROWD - 1, 30) == [30] * (CROWD - 1)


async def test_a_crowd_is_told_less_often(monkeypatch):
    monkeypatch.setattr(signals, "CROWD_PAUSE", LONGEST)
    assert await wakes(LocalSignals(), LOG, CROWD, 30) == [1] * CROWD


@pytest.mark.parametrize("topic", [QUEUE, job_topic("j")])
async def test_what_moves_jobs_is_never_held_back(monkeypatch, topic):
    monkeypatch.setattr(signals, "CROWD_PAUSE", LONGEST)
    assert await wakes(LocalSignals(), topic, CROWD, 30) == [30] * CROWD


async def test_the_last_growth_of_a_log_reaches_everybody():
    hub = LocalSignals()
    subscriptions = []
    with hub.subscribe(LOG) as first:
        opened = [hub.subscribe(LOG) for _ in range(CROWD)]
        subscriptions = [each.__enter__() for each in opened]
        hub.notify(LOG)
        for each in (first, *subscriptions):
            assert await each.wait(LONGEST) == {LOG}
        # Within the pause: told once, at its end.
        hub.notify(LOG)
        hub.notify(LOG)
        for each in (first, *subscriptions):
            assert await each.wait(LONGEST) == {LOG}
        for each in opened:
            each.__exit__(None, None, None)


@pytest.mark.parametrize(("topic", "told"), [(QUEUE, True), (job_topic("j"), True), (LOG, False)])
async def test_whoever_wants_events_is_told_of_jobs_and_the_queue(topic, told):
    hub = LocalSignals()
    with hub.subscribe(EVENTS) as events, hub.subscribe(topic) as own:
        hub.notify(topic)
        assert await own.wait(LONGEST) == {topic}
        assert await events.wait(0) == ({EVENTS} if told else set())
