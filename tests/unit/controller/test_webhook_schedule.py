"""What follows from a try."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ci_common.webhooks import Attempt, Delivery, DeliveryState, Due, Webhook
from ci_common.webhooks.model import LONGEST_WAIT
from ci_controller.webhooks.schedule import LONGEST_RETRY_AFTER, Schedule
from ci_server.settings import DEFAULT_WEBHOOK_RETRIES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = Schedule(retries=DEFAULT_WEBHOOK_RETRIES, disable_after=5 * 86_400.0)


def due(attempts: int = 0, schedule_from: int = 0, failing_since: datetime | None = None) -> Due:
    webhook = Webhook(id="w", url="u", secret="s", created_at=NOW, failing_since=failing_since)
    delivery = Delivery(
        id="m", seq=1, webhook_id="w", type="ping", body="", created_at=NOW, attempts=attempts,
        schedule_from=schedule_from,
    )  # fmt: skip
    return Due(delivery, webhook)


def failed(status: int | None = 500, retry_after: float | None = None) -> Attempt:
    return Attempt(at=NOW, seconds=1.0, status=status, error="no", retry_after=retry_after)


def after(what: Due, attempt: Attempt, seed: int = 1):
    return SCHEDULE.next(what, attempt, random.Random(seed))


@given(st.integers(0, 100))
def test_what_has_arrived_is_over(attempts):
    then = after(due(attempts), Attempt(at=NOW, seconds=1.0, status=204))
    assert (then.state, then.next_try, then.disable) == (DeliveryState.DELIVERED, None, None)


@given(st.integers(0, 2**32), st.integers(0, 20))
def test_failures_wait_longer_and_longer_and_come_to_an_end(seed, asked_at):
    waits = []
    for tried in range(len(DEFAULT_WEBHOOK_RETRIES)):
        then = after(due(asked_at + tried, asked_at), failed(), seed)
        assert then.state is DeliveryState.PENDING
        waits.append((then.next_try - NOW).total_seconds())
        usual = DEFAULT_WEBHOOK_RETRIES[tried]
        assert 0.8 * usual <= waits[-1] <= 1.2 * usual
    assert sum(waits) < 2 * 86_400
    last = after(due(asked_at + len(DEFAULT_WEBHOOK_RETRIES), asked_at), failed(), seed)
    assert (last.state, last.next_try) == (DeliveryState.DEAD, None)


def test_tries_are_spread():
    assert len({after(due(), failed(), seed).next_try for seed in range(20)}) > 10


@given(st.floats(0, 1e9), st.integers(0, 6))
def test_a_receiver_may_ask_for_more_time_but_not_for_all(retry_after, tried):
    then = after(due(tried), failed(503, retry_after))
    wait = then.next_try - NOW
    assert wait.total_seconds() >= min(retry_after, LONGEST_RETRY_AFTER) - 1e-3
    assert wait <= LONGEST_WAIT


def test_gone_is_gone():
    then = after(due(), failed(410))
    assert then.state is DeliveryState.DEAD
    assert "410" in then.disable


def test_days_of_failures_disable():
    almost = NOW - timedelta(days=5) + timedelta(seconds=1)
    assert after(due(failing_since=almost), failed()).disable is None
    then = after(due(failing_since=NOW - timedelta(days=5)), failed())
    assert then.state is DeliveryState.DEAD
    assert "2025-12-27" in then.disable
    arrived = Attempt(at=NOW, seconds=1.0, status=200)
    assert after(due(failing_since=NOW - timedelta(days=50)), arrived).disable is None
