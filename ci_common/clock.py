"""Time as a value that is handed in, so that tests own it.

Wall-clock time is for people. Durations (time-outs, elapsed time) are taken
from seconds since boot, which do not move when the clock is set, and which
other processes of the same machine read alike; across a reboot only the wall
clock is left to compare.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of both clocks: ``wall`` in UTC, ``uptime`` in seconds since boot ``boot_id``."""

    wall: datetime
    uptime: float
    boot_id: str

    def seconds_since(self, earlier: "Moment") -> float:
        """Return the seconds from ``earlier`` to this moment, never negative."""
        if earlier.boot_id == self.boot_id:
            return max(0.0, self.uptime - earlier.uptime)
        return max(0.0, (self.wall - earlier.wall).total_seconds())

    def earlier(self, seconds: float) -> "Moment":
        """Return the moment ``seconds`` before this one; its uptime may be negative."""
        return Moment(self.wall - timedelta(seconds=seconds), self.uptime - seconds, self.boot_id)


class Clock(Protocol):
    """Where everybody takes the time from."""

    def now(self) -> Moment:
        """Return the present moment."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Moment:
        """Return the present moment."""
        return Moment(
            wall=datetime.now(UTC),  # noqa: TID251 -- the one place that may
            uptime=_uptime(),
            boot_id=_boot_id(),
        )


def _uptime() -> float:
    # CLOCK_BOOTTIME counts suspended time too: a laptop's lid must not stretch a time-out.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def format_utc(when: datetime) -> str:
    """Return ``when`` as RFC 3339 in UTC with a ``Z``, to the millisecond."""
    text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """Return the moment written by :func:`format_utc`."""
    return datetime.fromisoformat(text).astimezone(UTC)
