"""How long a lost connection is waited for, with a clock that the test owns."""

import pytest

from ci_client.patience import Patience
from ci_common.backoff import Backoff
from ci_common.errors import ServerUnreachable

GONE = ServerUnreachable("gone")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def patience(clock: Clock, notices: list[str]) -> Patience:
    backoff = Backoff(first=1, factor=2, longest=8)
    return Patience(60, backoff, notices.append, clock, clock.sleep)


def lose(patience: Patience, times: int, *, connecting: bool = False) -> None:
    for _ in range(times):
        if connecting:
            patience.connected()
        patience.wait("reset", GONE)


def test_it_ends_within_its_time(patience: Patience, clock: Clock) -> None:
    with pytest.raises(ServerUnreachable):
        lose(patience, 1000)
    assert 60 - 8 <= clock.now - 100 <= 60
    assert clock.slept == sorted(clock.slept[:3]) + clock.slept[3:]


def test_progress_restores_it(patience: Patience, clock: Clock) -> None:
    for _ in range(50):
        lose(patience, 3)
        patience.connected()
        patience.progress()
    assert clock.now > 200


def test_connections_without_news_do_not_restore_it(patience: Patience) -> None:
    with pytest.raises(ServerUnreachable):
        lose(patience, 1000, connecting=True)


def test_a_silent_connection_that_lasted_was_a_good_one(patience: Patience, clock: Clock) -> None:
    for _ in range(100):
        patience.connected()
        clock.now += 30
        lose(patience, 1)
    assert max(clock.slept) <= 1


def test_one_notice_for_a_loss_and_one_for_its_end(patience: Patience, notices: list[str]) -> None:
    patience.connected()
    assert notices == []
    lose(patience, 5)
    assert notices == ["connection lost (reset); reconnecting…"]
    patience.connected()
    assert notices[1:] == ["reconnected"]


def test_the_server_may_ask_for_more_time(patience: Patience, clock: Clock) -> None:
    patience.wait("busy", GONE, at_least=20)
    assert clock.slept == [20]
    with pytest.raises(ServerUnreachable):
        patience.wait("busy", GONE, at_least=50)
