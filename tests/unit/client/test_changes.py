"""Looking again whenever something may have changed."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ci_client import changes, job_query
from ci_client.exchange import BrokenExchange
from ci_client.job_query import query_of
from ci_client.session import Session
from ci_common.backoff import Backoff
from ci_common.errors import AuthenticationFailed, ServerUnreachable
from ci_common.job_query import JobSort
from ci_common.jobs import EndReason, JobStatus
from tests.unit.client.scripted_server import Script, message, problem, stream

NEWS = message({"type": "subscribed", "after": 7})


class Enough(Exception):
    """The test has seen what it wanted."""


def looking(script: Script, look: Callable[[int], None]) -> list[str]:
    """Look until ``Enough``; ``look`` is told how often it has been called. Return the notices."""
    notices: list[str] = []
    looks = 0

    def count() -> None:
        nonlocal looks
        looks += 1
        look(looks)

    backoff = Backoff(first=0.001, factor=1.0, longest=0.001)
    session = Session(script.url, notify=notices.append, backoff=backoff)
    try:
        with session, pytest.raises(Enough):
            session.look_at_changes(count)
    finally:
        script.released.set()
    return notices


def until(count: int) -> Callable[[int], None]:
    def look(looks: int) -> None:
        if looks == count:
            raise Enough

    return look


def test_news_is_a_reason_to_look(script: Script) -> None:
    script.will(stream(NEWS, ending="open"))
    assert looking(script, until(2)) == []
    assert [seen.path for seen in script.seen] == ["/api/v1/events"]
    assert script.seen[0].headers["accept"] == "text/event-stream"


def test_when_the_news_breaks_off_it_looks_again_once_it_is_back(script: Script) -> None:
    script.will(stream(ending="cut"), stream(NEWS, ending="open"))
    notices = looking(script, until(3))
    assert len(script.seen) == 2
    assert "connection lost" in notices[0]
    assert notices[1:] == ["reconnected"]


def test_a_look_that_finds_nobody_is_repeated(script: Script) -> None:
    script.will(stream(ending="open"))

    def look(looks: int) -> None:
        if looks == 1:
            raise ServerUnreachable from BrokenExchange("it went away")
        raise Enough

    notices = looking(script, look)
    assert len(script.seen) == 2
    assert "it went away" in notices[0]


def test_a_server_without_news_is_asked_now_and_then(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "POLL_INTERVAL", 0.001)
    script.will(problem(404, "not_found", "there is nothing at this path"))
    assert looking(script, until(4)) == []
    assert len(script.seen) == 1


def test_a_refusal_ends_it(script: Script) -> None:
    script.will(problem(401, "authentication_failed", "no key"))
    with Session(script.url) as session, pytest.raises(AuthenticationFailed, match="no key"):
        session.look_at_changes(lambda: None)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ""),
        ({"status": None, "project": []}, ""),
        ({"status": ["queued", "running"]}, "status=queued&status=running"),
        ({"success": False, "sort": "-ended"}, "success=false&sort=-ended"),
        ({"label": {"a": "b=c&", "d": None}}, "label=a%3Db%3Dc%26&label=d"),
        ({"since": datetime(2026, 1, 31, tzinfo=UTC)}, "since=2026-01-31T00%3A00%3A00%2B00%3A00"),
    ],
)
def test_filters_become_a_query(filters: dict[str, object], expected: str) -> None:
    assert query_of(filters) == expected


def test_what_can_be_asked_for_is_what_there_is() -> None:
    assert list(job_query.STATUSES) == list(JobStatus)
    assert list(job_query.REASONS) == list(EndReason)
    assert list(job_query.SORTS) == list(JobSort)


def test_a_time_of_nobodys_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        query_of({"until": datetime(2026, 1, 31)})  # noqa: DTZ001
