"""Whose doing the end of a container was."""

from datetime import UTC, datetime, timedelta

import pytest
from docker.errors import NotFound

from ci_controller.docker_engine.endings import ended_by_itself, engine_began

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def state(started: int, finished: int, *, exit_code: int = 1, error: str = "") -> dict:
    """A container's state, in minutes after noon."""
    return {
        "StartedAt": at(started).isoformat(),
        "FinishedAt": at(finished).isoformat().replace("+00:00", ".123456789Z"),
        "ExitCode": exit_code,
        "Error": error,
    }


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


@pytest.mark.parametrize("exit_code", [0, 1, 137, 143, 255])
@pytest.mark.parametrize(
    ("began", "own"),
    [
        (-5, True),  # the engine was there all the time
        (5, True),  # it came back under a living container
        (10 + 1, False),  # it may have taken the container with it
    ],
)
def test_the_engine_came_up_before_or_after(began, own, exit_code):
    """Fault 12: what the exit status is does not count."""
    assert ended_by_itself(state(0, 10, exit_code=exit_code), at(began)) is own


@pytest.mark.parametrize(
    ("exit_code", "error", "own"),
    [(0, "", True), (1, "", True), (137, "", False), (255, "", False), (0, "shim gone", False)],
)
def test_an_engine_that_does_not_tell(exit_code, error, own):
    assert ended_by_itself(state(0, 10, exit_code=exit_code, error=error), None) is own


@pytest.mark.parametrize("began", [None, at(5)])
def test_a_container_that_never_started(began):
    never = {"StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    assert ended_by_itself(never | {"ExitCode": 127, "Error": "no such file"}, began)


class Engine:
    def __init__(self, created: str | None) -> None:
        self.created = created

    def inspect_network(self, name: str) -> dict[str, str]:
        if self.created is None:
            raise NotFound(name)
        return {"Created": self.created}


def test_when_the_engine_came_up():
    told = engine_began(Engine("2026-01-01T13:00:00.123456789+01:00"))
    assert told == NOON + timedelta(microseconds=123456)


def test_an_engine_without_a_default_network():
    assert engine_began(Engine(None)) is None


def test_a_clock_that_was_set_back():
    """Fault 23: else every job would count as lost until the clock has caught up."""
    assert engine_began(Engine("2999-01-01T00:00:00Z")) is None
