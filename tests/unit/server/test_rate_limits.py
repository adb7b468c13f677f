from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ci_server import rate_limits
from ci_server.rate_limits import WINDOW, Buckets, RateLimits
from ci_server.route_kinds import RouteKind
from ci_server.settings import load_settings

READS, STREAMS = RouteKind.READS, RouteKind.STREAMS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, **settings: str) -> RateLimits:
    return RateLimits(load_settings({"rate_limit_reads": "3", **settings}), clock)


def refused(taken) -> bool:
    return taken is not None and taken[1] is not None


def test_a_minutes_worth_at_once_then_as_it_comes_back():
    clock = Clock()
    rates = limits(clock)
    quotas = [rates.take(READS, "192.0.2.1")[0] for _ in range(3)]
    assert [(quota.remaining, quota.reset) for quota in quotas] == [(2, 20), (1, 40), (0, 60)]
    assert quotas[0].headers() == {
        "RateLimit-Policy": '"reads";q=3;w=60', "RateLimit": '"reads";r=2;t=20'
    }  # fmt: skip
    quota, refusal = rates.take(READS, "192.0.2.1")
    assert (quota.remaining, refusal.retry_after) == (0, 20)
    assert "CI_RATE_LIMIT_READS" in refusal.hint
    clock.now += 19.9
    assert refused(rates.take(READS, "192.0.2.1"))
    clock.now += 0.1
    assert not refused(rates.take(READS, "192.0.2.1"))
    assert refused(rates.take(READS, "192.0.2.1"))
    clock.now += 3600
    assert rates.take(READS, "192.0.2.1")[0].remaining == 2


def test_clients_and_kinds_are_counted_apart():
    rates = limits(Clock(), rate_limit_streams="1")
    for _ in range(3):
        rates.take(READS, "2001:db8::1")
    assert refused(rates.take(READS, "2001:db8::2"))  # of the same network
    assert not refused(rates.take(READS, "2001:db8:0:1::1"))
    assert not refused(rates.take(STREAMS, "2001:db8::1"))
    assert refused(rates.take(STREAMS, "2001:db8::1"))


def test_who_is_not_limited():
    clock = Clock()
    assert limits(clock).take(READS, "127.0.0.1") is None
    assert limits(clock).take(READS, "::1") is None
    assert limits(clock).take(READS, "-") is None
    assert limits(clock, rate_limit_loopback="yes").take(READS, "127.0.0.1") is not None
    assert limits(clock, rate_limit_reads="0").take(READS, "192.0.2.1") is None


def test_clients_take_a_bounded_room(monkeypatch):
    monkeypatch.setattr(rate_limits, "MOST_CLIENTS", 10)
    buckets = Buckets(READS, 1, Clock())
    for number in range(50):
        buckets.take("often")
        buckets.take(f"client-{number}")
        assert len(buckets) <= 10


@hypothesis_settings(deadline=None)
@given(
    st.integers(1, 20), st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=80)
)  # fmt: skip
def test_no_minute_has_more_than_two_minutes_worth_and_waiting_helps(limit, pauses):
    clock = Clock()
    buckets = Buckets(READS, limit, clock)
    taken = []
    for pause in pauses:
        clock.now += pause
        _, early = buckets.take("client")
        if early:
            clock.now += early + 1e-6
            assert buckets.take("client")[1] == 0
        taken.append(clock.now)
    for start in taken:
        assert sum(start <= moment < start + WINDOW for moment in taken) <= 2 * limit
