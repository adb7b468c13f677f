"""Webhooks in the database: what a look costs, and what backups and checks know of them."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from ci_common.job_events import EventType
from ci_common.webhooks import Webhook
from ci_persistence.backup import back_up
from ci_persistence.check import Premises, check
from ci_persistence.findings import Kind
from ci_persistence.restore import restore
from ci_persistence.space import DiskSpace, Reserve
from tests.fakes.sqlite_watch import watched
from tests.unit.persistence.data import Data


def hook(data: Data, name: str = "wh_1") -> Webhook:
    return Webhook(
        id=name, url="https://x.example/", secret="s", created_at=data.clock.now().wall,
        types=[EventType.QUEUED],
    )  # fmt: skip


@pytest.fixture
async def told(data):
    """A webhook with one delivery that is pending."""
    store = data.repository.webhooks
    await store.add(hook(data))
    await data.queued()
    assert await store.collect(lambda *_: "{}", now=data.clock.now().wall, limit=10) == 1
    return store


def execute(data: Data, statement: str) -> int:
    with closing(sqlite3.connect(data.paths.database)) as connection, connection:
        return connection.execute(statement).rowcount


def multiply(data: Data, number: int, state: str) -> None:
    execute(
        data,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {number}) INSERT INTO webhook_deliveries (id, webhook, type, body, created,"
        f" state, next_try) SELECT '{state}' || i, webhook, type, body, created, '{state}',"
        " iif('pending' = '" + state + "', next_try + 1000000000, NULL)"
        " FROM webhook_deliveries, n WHERE event IS NOT NULL",
    )
    assert (
        execute(data, f"UPDATE webhook_deliveries SET id = id WHERE id GLOB '{state}*'") == number
    )


@pytest.mark.parametrize("state", ["delivered", "dead", "pending"])
async def test_a_look_costs_the_same_whatever_is_over_or_waits_for_later(data, told, state):
    now = data.clock.now().wall

    async def look() -> int:
        async with watched(data.repository) as watch:
            await told.collect(lambda *_: "{}", now=now, limit=10)
            assert len(await told.due(now=now, per_webhook=2)) == 1
            assert await told.next_try() == now
        return watch.steps

    few = await look()
    multiply(data, 1000, state)
    assert await look() <= few + 5  # to see where a range ends takes a step


async def test_pruning_reads_what_goes_and_no_more(data, told):
    multiply(data, 1000, "dead")

    async def prune() -> int:
        async with watched(data.repository) as watch:
            assert await told.prune(before=data.clock.now().wall) == 0
        return watch.steps

    assert await prune() < 100
    assert await told.prune(before=data.clock.now().wall + timedelta(seconds=1)) == 1000


async def test_a_restored_servers_webhooks_are_silent_until_somebody_says_so(data, told, tmp_path):
    other = Data(tmp_path / "restored")
    back_up(data.paths, tmp_path / "backup", data.clock)
    restore(tmp_path / "backup", other.paths, other.clock)
    await other.open()
    try:
        (webhook,) = await other.repository.webhooks.all()
        assert (webhook.enabled, webhook.secret) == (False, "s")
        assert "restored" in webhook.disabled_reason
        assert await other.repository.webhooks.due(now=other.clock.now().wall, per_webhook=9) == []
        assert len(await other.repository.webhooks.deliveries(limit=9)) == 1
    finally:
        await other.repository.close()
    assert (await told.get("wh_1")).enabled


@pytest.mark.parametrize(
    ("damage", "subject"),
    [
        ("UPDATE webhooks SET types = '[\"x\"]'", "wh_1"),
        ("UPDATE webhooks SET projects = '{'", "wh_1"),
        ("UPDATE webhook_deliveries SET state = 'lost'", None),
    ],
)
async def test_a_row_that_cannot_be_read_is_found(data, told, damage, subject):
    reserve = Reserve(data.paths.reserve, 0)
    space = DiskSpace((data.folder,), min_free=1, reserve=reserve)
    premises = Premises(data=data.paths, clock=data.clock, grace=60.0, space=space, reserve=reserve)
    assert check(premises, lambda _: None) == []
    (delivery,) = await told.deliveries(limit=9)
    execute(data, damage)
    (found,) = check(premises, lambda _: None)
    assert (found.kind, found.subject) == (Kind.ROW_UNREADABLE, subject or delivery.id)
