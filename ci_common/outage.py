"""Why no job can run at present: said by the controller, read by every process."""

import logging
import os
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_LONGEST = 2000
"""Bytes read of a reason."""


class Outage:
    """The outage of one data directory, if there is one: a small file that is there or not.

    A file and not a row: it can be said and withdrawn while the database is
    locked or full, and a reader costs a few microseconds.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "outage"

    @property
    def reason(self) -> str | None:
        """What is wrong; None while nothing is."""
        try:
            with self._path.open("rb") as file:
                return file.read(_LONGEST).decode(errors="replace") or None
        except OSError:
            return None

    @property
    def waiting(self) -> str | None:
        """What a job waits for, in words; None while it waits for nothing but its turn."""
        reason = self.reason
        return f"waiting for the engine: {reason}" if reason else None

    def declare(self, reason: str | None) -> None:
        """Say what is wrong, or with None that nothing is any more. Only the controller may."""
        try:
            if reason is None:
                self._path.unlink(missing_ok=True)
            else:
                self._replace(reason)
        except OSError as error:
            _log.warning("other processes are not told of the engine's state: %s", error)

    def _replace(self, reason: str) -> None:
        # By a rename: whoever reads sees one reason or the other.
        fresh = self._path.with_name(f"outage.{os.getpid()}")
        try:
            fresh.write_text(reason, encoding="utf-8")
            fresh.rename(self._path)
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
