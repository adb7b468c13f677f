"""Whose doing the end of a container was."""

from datetime import UTC, datetime, timedelta

import pytest
from docker.errors import NotFound

from ci_controller.docker_engine.endings import ended_by_itself

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(minute: int) -> str:
    """A moment in minutes after noon, as an engine in another time zone writes it."""
    moment = NOON + timedelta(hours=1, minutes=minute)
    return moment.isoformat().replace("+00:00", ".123456789+01:00")


def state(exit_code: int = 1, error: str = "") -> dict:
    """The state of a container that ran from minute 0 to minute 10."""
    finished = (NOON + timedelta(minutes=10)).isoformat().replace("+00:00", ".2Z")
    return {"StartedAt": at(0), "FinishedAt": finished, "ExitCode": exit_code, "Error": error}


class Engine:
    """One that came up at ``began``, if it tells, and spares containers or not."""

    def __init__(self, began: str | None, *, spares: bool = False) -> None:
        self.began = began
        self.spares = spares

    def inspect_network(self, name: str) -> dict[str, str]:
        if self.began is None:
            raise NotFound(name)
        return {"Created": self.began}

    def info(self) -> dict[str, bool]:
        return {"LiveRestoreEnabled": self.spares}


@pytest.mark.parametrize("exit_code", [0, 1, 137, 143, 255])
@pytest.mark.parametrize(
    ("began", "own"),
    [
        (-5, True),  # the engine was there all the time
        (5, True),  # it came back under a living container
        (11, False),  # it may have taken the container with it
    ],
)
def test_the_engine_came_up_before_or_after(began, own, exit_code):
    """Fault 12: what the exit status is does not count."""
    assert ended_by_itself(Engine(at(began)), state(exit_code)) is own


@pytest.mark.parametrize(("exit_code", "own"), [(0, True), (1, True), (137, True), (255, False)])
def test_an_engine_that_spares_its_containers(exit_code, own):
    """Fault 13: under live-restore they end by themselves; after a reboot they are lost."""
    assert ended_by_itself(Engine(at(11), spares=True), state(exit_code)) is own


@pytest.mark.parametrize("began", [None, "2999-01-01T00:00:00Z"])
@pytest.mark.parametrize(
    ("exit_code", "error", "own"),
    [(0, "", True), (1, "", True), (137, "", False), (255, "", False), (0, "shim gone", False)],
)
def test_an_engine_that_does_not_tell(began, exit_code, error, own):
    """Fault 23: or whose clock was set back, so that all jobs would seem lost for as long."""
    assert ended_by_itself(Engine(began), state(exit_code, error)) is own


@pytest.mark.parametrize("began", [None, at(5)])
def test_a_container_that_never_started(began):
    never = {"StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    assert ended_by_itself(Engine(began), never | {"ExitCode": 127, "Error": "no such file"})
