"""A clock that stands still until it is told to move."""

from datetime import UTC, datetime, timedelta

from ci_common.clock import Moment


class FakeClock:
    """Starts at a fixed moment; ``advance`` moves both clocks, ``jump_wall`` only the wall's."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)
        self.uptime = 1000.0
        self.boot_id = "boot-1"

    def now(self) -> Moment:
        return Moment(self.wall, self.uptime, self.boot_id)

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.uptime += seconds

    def jump_wall(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)

    def reboot(self) -> None:
        self.boot_id += "+"
        self.uptime = 10.0
