"""How long a lost connection is worth waiting for."""

from __future__ import annotations

import time

from ci_common.backoff import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_common.errors import CIError

DEFAULT_BACKOFF = Backoff(first=0.2, factor=2.0, longest=5.0)
DEFAULT_TIMEOUT = 60.0
_STEADY = 10.0
"""Seconds after which a connection counts as a good one even if the job had nothing to say."""


def _ignore(_notice: str) -> None:
    """Take no interest in notices."""


class Patience:
    """Waits between attempts to get back to the server; ``progress`` restores it.

    ``timeout`` is in seconds of being without news. ``notify`` is told once
    per loss and once when it is over. ``sleep`` returns whether it was ended
    before its time, which ends the patience too.
    """

    def __init__(
        self,
        timeout: float = DEFAULT_TIMEOUT,
        backoff: Backoff = DEFAULT_BACKOFF,
        notify: Callable[[str], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool | None] = time.sleep,
    ) -> None:
        self.timeout = timeout
        self.backoff = backoff
        self.notify = notify
        self.clock = clock
        self.sleep = sleep
        self._failures = 0
        self._lost_at = 0.0
        self._connected_at: float | None = None

    @property
    def had_contact(self) -> bool:
        """Whether the server was there at all, be it only to break off."""
        return self._connected_at is not None or self._failures > 0

    def connected(self) -> None:
        """Note that the server answered."""
        self._connected_at = self.clock()
        if self._failures:
            self.notify("reconnected")

    def progress(self) -> None:
        """Note that something new came."""
        self._failures = 0

    def wait(
        self,
        cause: str,
        error: CIError,
        *,
        at_least: float = 0.0,
        notice: str | None = None,
    ) -> None:
        """Sleep until it is time to try again; ``notice`` says why, or else ``cause``.

        Raises:
            CIError: ``error``, when patience is at its end.

        """
        now = self.clock()
        if self._connected_at is not None and now - self._connected_at >= _STEADY:
            self.progress()
        was_connected, self._connected_at = self._connected_at is not None, None
        self._failures += 1
        if self._failures == 1:
            self._lost_at = now
        delay = max(self.backoff.delay(self._failures), at_least)
        if now + delay - self._lost_at > self.timeout:
            raise error
        if was_connected or self._failures == 1:
            self.notify(notice or f"connection lost ({cause}); reconnecting…")
        if self.sleep(delay):
            raise error
