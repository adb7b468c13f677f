"""Waiting for what another process does: look again until it is so, or the deadline has passed."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 60.0
"""Seconds; generous, since a loaded machine is slow and only a failure waits this long."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.05
"""Seconds between two looks: a look costs both sides, and most of what is waited for comes soon."""


def eventually(look: Callable[[], T], *, what: str, timeout: float = LONGEST) -> T:
    """Return the first truthy value of ``look``; fail naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    never, pause = threading.Event(), _FIRST_PAUSE
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:g} s: {what} (last seen: {value!r})")
        never.wait(pause)
        pause = min(1.3 * pause, _LONGEST_PAUSE)
