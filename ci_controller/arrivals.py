"""Jobs that are not to be disturbed: on their way into a container, or in it only for a moment.

Launching a standby takes the machine for a quarter of a second. Done while a
short job ends, it makes the verdict come later, for a standby that the next
job has no use for before it is submitted.
"""

import asyncio
import math
from collections.abc import Callable

from ci_common.clock import Clock


class Arrivals:
    """Says whether some job is arriving. Used on one event loop.

    A job arrives from ``begin`` until ``end``, or until ``moment`` seconds
    after it was ``fed``; ``over`` is called when that time has come.
    """

    def __init__(self, clock: Clock, *, moment: float, over: Callable[[], None]) -> None:
        self._clock = clock
        self._moment = moment
        self._over = over
        self._until: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __bool__(self) -> bool:
        """Whether a job is arriving."""
        now = self._clock.now().uptime
        return any(until > now for until in self._until.values())

    def begin(self, job_id: str) -> None:
        """Note that a job is being brought into a container."""
        self._until[job_id] = math.inf

    def fed(self, job_id: str) -> None:
        """Note that it is in there."""
        self._until[job_id] = self._clock.now().uptime + self._moment
        loop = asyncio.get_running_loop()
        self._timers[job_id] = loop.call_later(self._moment, self._over)

    def end(self, job_id: str) -> None:
        """Note that it has ended, or did not get there. Idempotent."""
        self._until.pop(job_id, None)
        timer = self._timers.pop(job_id, None)
        if timer is not None:
            timer.cancel()
