"""Waiting for what another process does: look again until it is so, or the deadline has passed."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 60.0
"""Seconds; generous, since a loaded machine is slow and only a failure waits this long."""


def eventually(look: Callable[[], T], *, what: str, timeout: float = LONGEST) -> T:
    """Return the first truthy value of ``look``; fail naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:g} s: {what} (last seen: {value!r})")
        pause.wait(0.02)
