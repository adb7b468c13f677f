"""What every store of webhooks does."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ci_common.errors import DeliveryNotFound, InvalidTransition, WebhookNotFound
from ci_common.job_events import EventType, StoredEvent
from ci_common.jobs import EndReason, JobStatus, Result
from ci_common.webhooks import Attempt, DeliveryState, Next, Webhook, job_message
from ci_common.webhooks.model import LONGEST_WAIT
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import new_job
from tests.fakes.sqlite_watch import watched

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
DEAD = Next(state=DeliveryState.DEAD)
DONE = Next(state=DeliveryState.DELIVERED)
AGAIN = Next(state=DeliveryState.PENDING, next_try=LATER)

_EVENT = (
    "INSERT INTO events (at, type, job_id, project, submitter, status, attempt, reason,"
    " organisation) VALUES (?, ?, ?, ?, 'me', 'completed', 1, ?, ?)"
)


def attempt(error: str | None = "no", at: datetime = NOW, **fields) -> Attempt:
    return Attempt(at=at, seconds=0.5, error=error, **fields)


def hook(name: str = "wh_1", **fields) -> Webhook:
    values = {"url": "https://x.example/", "secret": "s1", "created_at": NOW}
    return Webhook(id=name, **(values | fields))


def render(change: StoredEvent, job) -> str:
    return f"{change.job_id} {change.type}"


async def happen(
    repository, job_id: str = "j1", kind: str = "job.ended", project: str = "p",
    reason: str | None = "failed", organisation: str = "",
) -> None:  # fmt: skip
    store = repository.webhooks
    if isinstance(repository, SQLiteJobRepository):
        async with repository._database.transaction() as transaction:
            values = (1_000_000, kind, job_id, project, reason, organisation)
            await transaction.execute(_EVENT, values)
        return
    store.events.append(
        StoredEvent(
            seq=len(store.events) + 1, at=NOW, type=EventType(kind), job_id=job_id,
            project=project, submitter="me", attempt=1, reason=reason and EndReason(reason),
            organisation=organisation,
        )
    )  # fmt: skip


async def collected(store) -> int:
    return await store.collect(render, now=NOW, limit=100)


async def bodies(store) -> list[str]:
    return [each.body for each in reversed(await store.deliveries(limit=100))]


async def pending(repository, number: int = 1):
    """Deliveries to one webhook that are due."""
    store = repository.webhooks
    await store.add(hook())
    for index in range(number):
        await happen(repository, f"j{index}")
    await collected(store)
    return [due.delivery for due in await store.due(now=NOW, per_webhook=100)]


@pytest.fixture
def store(repository):
    return repository.webhooks


class TestWebhooks:
    async def test_they_are_kept_in_their_order(self, store):
        whole = hook(
            "wh_0", description="d", types=[EventType.QUEUED, EventType.ENDED], projects=["a", "b"],
            reasons=[EndReason.FAILED],
        )  # fmt: skip
        assert await store.add(whole) == whole
        await store.add(hook("wh_1"))
        assert [each.id for each in await store.all()] == ["wh_0", "wh_1"]
        assert await store.get("wh_0") == whole

    async def test_a_change_is_of_all_but_the_secrets(self, store):
        before = await store.add(hook())
        asked = replace(before, url="https://y.example/", projects=["q"], secret="other")
        assert await store.change(asked) == replace(asked, secret="s1")

    async def test_a_secret_is_replaced_and_the_old_one_kept_for_a_while(self, store):
        await store.add(hook())
        await store.rotate("wh_1", secret="s2", old_until=LATER)
        third = await store.rotate("wh_1", secret="s3", old_until=LATER)
        assert (third.secret, third.old_secret, third.old_secret_until) == ("s3", "s2", LATER)

    async def test_what_is_not_there(self, store):
        for call in (
            store.get("wh_9"), store.remove("wh_9"), store.change(hook("wh_9")),
            store.rotate("wh_9", secret="s", old_until=NOW), store.get("\ud800"),
            store.enqueue("wh_9", kind="ping", body="{}", now=NOW),
            store.deliveries(limit=1, webhook_id="wh_9"),
        ):  # fmt: skip
            with pytest.raises(WebhookNotFound):
                await call
        for call in (store.delivery("msg_9"), store.redeliver("msg_9", now=NOW)):
            with pytest.raises(DeliveryNotFound):
                await call
        assert not await store.record("msg_9", attempts=0, attempt=attempt(), then=DEAD)

    async def test_removing_one_removes_its_deliveries(self, repository, store):
        (delivery,) = await pending(repository)
        await store.add(hook("wh_2"))
        await store.remove("wh_1")
        assert [each.id for each in await store.all()] == ["wh_2"]
        assert await store.deliveries(limit=10) == []
        assert not await store.record(delivery.id, attempts=0, attempt=attempt(), then=DEAD)


class TestCollecting:
    async def test_each_event_makes_one_delivery_for_each_that_wants_it(self, repository, store):
        await store.add(hook("wh_1"))
        await store.add(hook("wh_2", projects=["other"]))
        await happen(repository, "j1")
        await happen(repository, "j2", project="other")
        await happen(repository, "j3", kind="job.queued", reason=None)
        assert await collected(store) == 3
        assert await collected(store) == 0
        made = await store.deliveries(limit=10)
        assert sorted((each.webhook_id, each.body) for each in made) == [
            ("wh_1", "j1 job.ended"),
            ("wh_1", "j2 job.ended"),
            ("wh_2", "j2 job.ended"),
        ]
        assert {each.state for each in made} == {DeliveryState.PENDING}
        assert {each.next_try for each in made} == {NOW}
        assert len({each.id for each in made}) == 3
        assert await store.delivery(made[0].id) == made[0]

    async def test_what_was_before_it_came_is_not_told(self, repository, store):
        await happen(repository, "old")
        await store.add(hook())
        await happen(repository, "new")
        await collected(store)
        assert await bodies(store) == ["new job.ended"]

    async def test_nor_is_it_when_another_is_told(self, repository, store):
        await store.add(hook("wh_1"))
        await happen(repository, "old")
        await store.add(hook("wh_2"))
        await collected(store)
        assert [each.webhook_id for each in await store.deliveries(limit=9)] == ["wh_1"]

    async def test_what_happens_while_it_is_disabled_is_not_told(self, repository, store):
        webhook = await store.add(hook())
        await store.change(replace(webhook, enabled=False))
        await happen(repository, "missed")
        assert await collected(store) == 0
        await store.change(webhook)
        await happen(repository, "new")
        await collected(store)
        assert await bodies(store) == ["new job.ended"]

    async def test_it_goes_on_where_it_was(self, repository, store):
        await store.add(hook())
        for index in range(5):
            await happen(repository, f"j{index}")
        counts = [await store.collect(render, now=NOW, limit=2) for _ in range(4)]
        assert counts == [2, 2, 1, 0]
        assert await bodies(store) == [f"j{index} job.ended" for index in range(5)]

    async def test_many_at_once_make_no_more(self, repository, peer):
        await repository.webhooks.add(hook())
        for index in range(20):
            await happen(repository, f"j{index}")
        stores = [repository.webhooks, peer.webhooks] * 4
        for _ in range(20):
            await asyncio.gather(*(each.collect(render, now=NOW, limit=3) for each in stores))
        assert sorted(await bodies(peer.webhooks)) == sorted(f"j{n} job.ended" for n in range(20))


class TestTrying:
    async def test_the_first_due_of_each_enabled_webhook(self, repository, store):
        made = await pending(repository, 3)
        other = await store.add(hook("wh_2"))
        ping = await store.enqueue("wh_2", kind="ping", body="{}", now=NOW)
        found = await store.due(now=NOW, per_webhook=2)
        assert [due.delivery.id for due in found] == [made[0].id, made[1].id, ping.id]
        assert found[2].webhook == other
        await store.change(replace(other, enabled=False))
        assert len(await store.due(now=NOW, per_webhook=9)) == 3

    async def test_a_failure_waits(self, repository, store):
        (delivery,) = await pending(repository)
        failed = attempt(status=500, response="oops \ud800")
        assert await store.record(delivery.id, attempts=0, attempt=failed, then=AGAIN)
        found = await store.delivery(delivery.id)
        assert (found.attempts, found.next_try, found.last_try) == (1, LATER, NOW)
        assert (found.last_status, found.last_error, found.last_seconds) == (500, "no", 0.5)
        assert found.last_response.startswith("oops ")
        assert await store.due(now=NOW, per_webhook=9) == []
        assert await store.next_try() == LATER
        assert len(await store.due(now=LATER, per_webhook=9)) == 1

    async def test_a_wait_that_a_clock_that_was_set_back_made_endless_is_over(
        self, repository, store
    ):
        (delivery,) = await pending(repository)
        then = replace(AGAIN, next_try=NOW + LONGEST_WAIT + timedelta(seconds=1))
        await store.record(delivery.id, attempts=0, attempt=attempt(), then=then)
        assert len(await store.due(now=NOW, per_webhook=9)) == 1

    async def test_who_comes_second_changes_nothing(self, repository, store):
        (delivery,) = await pending(repository)
        assert await store.record(delivery.id, attempts=0, attempt=attempt(), then=AGAIN)
        assert not await store.record(delivery.id, attempts=0, attempt=attempt(), then=DEAD)
        assert await store.record(delivery.id, attempts=1, attempt=attempt(None), then=DONE)
        assert not await store.record(delivery.id, attempts=2, attempt=attempt(), then=AGAIN)
        found = await store.delivery(delivery.id)
        assert (found.state, found.attempts, found.last_error) == (DONE.state, 2, None)
        assert await store.next_try() is None

    async def test_failures_are_remembered_since_the_first(self, repository, store):
        first, second, third = await pending(repository, 3)
        await store.record(first.id, attempts=0, attempt=attempt(), then=DEAD)
        await store.record(second.id, attempts=0, attempt=attempt(at=LATER), then=DEAD)
        assert (await store.get("wh_1")).failing_since == NOW
        await store.record(third.id, attempts=0, attempt=attempt(None), then=DONE)
        assert (await store.get("wh_1")).failing_since is None

    async def test_disabling_makes_all_that_is_pending_dead(self, repository, store):
        first, second = await pending(repository, 2)
        gone = replace(DEAD, disable="it is gone")
        await store.record(first.id, attempts=0, attempt=attempt("410"), then=gone)
        webhook = await store.get("wh_1")
        assert (webhook.enabled, webhook.disabled_reason) == (False, "it is gone")
        dead = await store.deliveries(limit=9, state=DeliveryState.DEAD)
        assert [each.id for each in dead] == [second.id, first.id]
        assert "disabled before it was tried" in dead[0].last_error
        with pytest.raises(InvalidTransition):
            await store.redeliver(first.id, now=NOW)
        with pytest.raises(InvalidTransition):
            await store.enqueue("wh_1", kind="ping", body="{}", now=NOW)
        enabled = await store.change(replace(webhook, enabled=True))
        assert (enabled.disabled_reason, enabled.failing_since) == (None, None)

    async def test_a_change_of_a_disabled_one_keeps_the_reason(self, repository, store):
        (delivery,) = await pending(repository)
        gone = replace(DEAD, disable="it is gone")
        await store.record(delivery.id, attempts=0, attempt=attempt("410"), then=gone)
        webhook = await store.get("wh_1")
        assert (await store.change(replace(webhook, description="x"))).disabled_reason

    async def test_redelivering_begins_the_schedule_anew(self, repository, store):
        (delivery,) = await pending(repository)
        await store.record(delivery.id, attempts=0, attempt=attempt(), then=DEAD)
        again = await store.redeliver(delivery.id, now=LATER)
        assert (again.state, again.next_try) == (DeliveryState.PENDING, LATER)
        assert (again.attempts, again.schedule_from, again.body) == (1, 1, delivery.body)
        (due,) = await store.due(now=LATER, per_webhook=9)
        assert due.delivery == again


class TestListing:
    async def test_pages(self, repository, store):
        made = [each.id for each in reversed(await pending(repository, 5))]
        first = await store.deliveries(limit=3, webhook_id="wh_1")
        rest = await store.deliveries(limit=3, webhook_id="wh_1", before=first[-1].seq)
        assert [each.id for each in [*first, *rest]] == made

    async def test_old_ones_go_and_pending_ones_stay(self, repository, store):
        over, waiting = await pending(repository, 2)
        await store.record(over.id, attempts=0, attempt=attempt(), then=DEAD)
        assert await store.prune(before=NOW) == 0
        assert await store.prune(before=LATER) == 1
        assert [each.id for each in await store.deliveries(limit=9)] == [waiting.id]
        assert await collected(store) == 0, "and none is made anew"


class TestEventsOfJobs:
    """The outbox as jobs fill it, which only the database does."""

    @pytest.fixture
    async def sqlite(self, tmp_path):
        made = SQLiteJobRepository(tmp_path / "own.db")
        await made.initialize()
        yield made
        await made.close()

    async def test_a_job_is_shown_as_it_was_at_each_event(self, sqlite):
        clock = FakeClock()
        await sqlite.webhooks.add(hook(types=list(EventType)))
        job, _ = await sqlite.add(new_job(project="p", labels={"a": "b"}))
        await sqlite.claim(job.id, attempt=0, now=clock.now())
        clock.advance(5)
        await sqlite.record_stop(job.id, attempt=1, reason=EndReason.TIMED_OUT)
        result = Result(reason=EndReason.TIMED_OUT, exit_code=143)
        await sqlite.finish(job.id, attempt=1, result=result, now=clock.now())
        seen = []

        def shown(change, job) -> str:
            seen.append((change, job))
            return job_message(change, job)

        await sqlite.webhooks.collect(shown, now=NOW, limit=100)
        assert {job.status for _, job in seen} == {JobStatus.COMPLETED}
        sent = [json.loads(body) for body in await bodies(sqlite.webhooks)]
        views = {each["type"]: each["data"]["job"] for each in sent}
        assert list(views) == ["job.queued", "job.running", "job.stopping", "job.ended"]
        assert [each["status"] for each in views.values()] == [
            "queued", "running", "running", "completed",
        ]  # fmt: skip
        assert [each["end_time"] is None for each in views.values()] == [True, True, True, False]
        assert [each["success"] for each in views.values()] == [None, None, None, False]
        assert views["job.queued"]["start_time"] is None
        assert views["job.stopping"]["stopping"] == "timed_out"
        assert views["job.ended"]["exit_code"] == 143
        assert {each["labels"]["a"] for each in views.values()} == {"b"}

    async def test_the_types_are_those_that_the_database_writes(self, sqlite):
        rows = await sqlite._database.fetch_all(
            "SELECT sql FROM sqlite_schema WHERE type='trigger'"
        )
        text = " ".join(row["sql"] for row in rows)
        assert {kind for kind in EventType if f"'{kind}'" in text} == set(EventType)
        assert text.count("'job.") == len(EventType)

    async def test_without_webhooks_nothing_is_written_and_no_event_read(self, sqlite):
        await sqlite.add(new_job())
        async with watched(sqlite) as watch:
            assert await collected(sqlite.webhooks) == 0
        assert (watch.commits, len(watch.statements)) == (0, 1)


async def test_a_webhook_is_told_of_its_own_organisation(repository, store):
    for name in ("", "ours", "theirs"):
        await store.add(hook(f"wh_{name}", organisation=name))
    for name in ("", "ours", "theirs"):
        await happen(repository, f"job of {name}", organisation=name)
    await collected(store)
    for name in ("", "ours", "theirs"):
        (made,) = await store.deliveries(limit=9, webhook_id=f"wh_{name}")
        assert made.job_id == f"job of {name}"


async def test_what_is_others_is_not_there(repository, store):
    within, made = frozenset({"ours"}), {}
    for name in ("", "ours", "theirs"):
        await store.add(hook(f"wh_{name}", organisation=name))
        made[name] = await store.enqueue(f"wh_{name}", kind="ping", body="{}", now=NOW)
    assert [each.id for each in await store.all(within=within)] == ["wh_ours"]
    assert await store.get("wh_ours", within=within) == await store.get("wh_ours")
    assert await store.delivery(made["ours"].id, within=within) == made["ours"]
    assert await store.deliveries(limit=9, within=within) == [made["ours"]]
    for name in ("", "theirs"):
        with pytest.raises(WebhookNotFound):
            await store.get(f"wh_{name}", within=within)
        with pytest.raises(WebhookNotFound):
            await store.deliveries(limit=9, webhook_id=f"wh_{name}", within=within)
        with pytest.raises(DeliveryNotFound):
            await store.delivery(made[name].id, within=within)
    changed = await store.change(hook("wh_theirs", organisation="ours", description="mine now"))
    assert changed.organisation == "theirs"
