"""A disk that can be full, under the real stores of files and the database."""

import errno
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ci_common.space import Deficit

_RESERVE = 5000
"""Bytes that are set aside for clearing up."""


class Disk:
    """In place of the module ``os``, for those who write files.

    ``room``: bytes that still fit. ``noticed``: whether that can be seen before
    a write fails, as it cannot with a quota. ``cut_logs``: the jobs whose logs
    were refused bytes. ``was_short``: whether room has ever been wanting.
    """

    def __init__(self) -> None:
        self.room: float = math.inf
        self.noticed = True
        self.has_reserve = True
        self.was_short = False
        self.cut_logs: set[str] = set()

    def fill(self, room: int, *, noticed: bool) -> None:
        """Have somebody take all but ``room`` bytes."""
        self.room, self.noticed, self.was_short = room, noticed, True

    def clear(self) -> None:
        """Have all be free again."""
        self.room, self.noticed = math.inf, True

    @property
    def full(self) -> bool:
        """Whether nothing more fits."""
        return self.room <= 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: Any) -> int:
        """Write what fits, as the kernel does."""
        fitting = memoryview(data)[: int(min(self.room, len(data)))]
        if len(fitting) < len(data):
            self._note(Path(f"/proc/self/fd/{fd}").readlink())
        if self.full and data:
            raise OSError(errno.ENOSPC, "there is no room left")
        written = os.write(fd, fitting)
        self.room -= written
        return written

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        """Open a file; a new one finds no room for its name."""
        if self.full and flags & os.O_CREAT and not Path(path).exists():
            self._note(Path(path))
            raise OSError(errno.ENOSPC, "there is no room left")
        return os.open(path, flags, mode)

    def _note(self, path: Path) -> None:
        if path.suffix == ".log":
            self.cut_logs.add(path.stem)

    def require_room_for(self, sql: str) -> None:
        """Refuse a statement that writes, as SQLite does when its log cannot grow."""
        if self.full and sql.startswith("COMMIT"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    @contextmanager
    def under_the_stores(self) -> Iterator[None]:
        """Have the stores of files write to this disk."""
        with ExitStack() as stack:
            for store in ("logs", "stash"):
                stack.enter_context(patch(f"ci_persistence.{store}.os", self))
            yield


class SimulatedSpace:
    """What is to be known of a disk (see ``Space``)."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    @property
    def _short(self) -> bool:
        return self._disk.noticed and self._disk.room < math.inf

    def shortage(self, wanted: int = 0) -> str | None:
        return "the disk is nearly full" if self._short else None

    def deficit(self) -> Deficit:
        return Deficit(20 if self._short else 0, 0)

    def keep_reserve(self) -> None:
        if self._disk.room == math.inf:
            self._disk.has_reserve = True
        elif self._disk.full:
            self.release_reserve()

    def release_reserve(self) -> bool:
        had, self._disk.has_reserve = self._disk.has_reserve, False
        if had:
            self._disk.room += _RESERVE
        return had
