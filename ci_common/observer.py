"""What the parts of a server say of their own doing, for whoever wants to know.

Nothing depends on it: an observer never raises, never waits, and changes nothing.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from ci_common.jobs import Job

_log = logging.getLogger(__name__)


class Observer:
    """Takes no interest in anything. Those that do override what they want to know.

    Called on the event loop's thread, but for ``log_written``. Seconds are seconds.
    """

    def standby_asked_for(self, *, found: bool) -> None:
        """Tell whether a job's container was there before the job was."""

    def dependencies_asked_for(self, *, kept: bool) -> None:
        """Tell whether a job's dependencies were installed before it came."""

    def prepared(self, seconds: float) -> None:
        """Tell how long a job waited for its dependencies to be installed."""

    def started(self, seconds: float) -> None:
        """Tell how long it took from a claim to the first sign of life of the job's script."""

    def engine_called(self, call: str, outcome: str, seconds: float) -> None:
        """Tell of a call to the executor; ``outcome`` is ``ok`` or an error's code."""

    def log_written(self, size: int) -> None:
        """Tell of bytes that a container wrote. From any thread."""

    def attempt_lost(self, job: Job, detail: str, now: datetime) -> None:
        """Tell that an attempt came to nothing and the job is queued again.

        ``job`` is the row as it was while it ran.
        """

    def job_ended(self, job: Job) -> None:
        """Tell of a job's end; ``job`` is its last row, with the times of its steps."""

    def cleaned_up(self, job: Job, since: datetime, now: datetime) -> None:
        """Tell when what an attempt left behind was removed."""


class Observers(Observer):
    """Passes all on to several. What one of them raises is logged, and disturbs nobody."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def standby_asked_for(self, *, found: bool) -> None:
        """Pass it on."""
        self._tell(lambda each: each.standby_asked_for(found=found))

    def dependencies_asked_for(self, *, kept: bool) -> None:
        """Pass it on."""
        self._tell(lambda each: each.dependencies_asked_for(kept=kept))

    def prepared(self, seconds: float) -> None:
        """Pass it on."""
        self._tell(lambda each: each.prepared(seconds))

    def started(self, seconds: float) -> None:
        """Pass it on."""
        self._tell(lambda each: each.started(seconds))

    def engine_called(self, call: str, outcome: str, seconds: float) -> None:
        """Pass it on."""
        self._tell(lambda each: each.engine_called(call, outcome, seconds))

    def log_written(self, size: int) -> None:
        """Pass it on."""
        self._tell(lambda each: each.log_written(size))

    def attempt_lost(self, job: Job, detail: str, now: datetime) -> None:
        """Pass it on."""
        self._tell(lambda each: each.attempt_lost(job, detail, now))

    def job_ended(self, job: Job) -> None:
        """Pass it on."""
        self._tell(lambda each: each.job_ended(job))

    def cleaned_up(self, job: Job, since: datetime, now: datetime) -> None:
        """Pass it on."""
        self._tell(lambda each: each.cleaned_up(job, since, now))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for each in self._observers:
            try:
                tell(each)
            except Exception:  # noqa: BLE001 -- a job must not suffer from being watched
                _log.exception("%s failed to take note of something", type(each).__name__)
