"""How much room the disks have, and a file that is kept in reserve on the database's.

A full disk takes no DELETE either: SQLite writes what it is about to do into
its log first. Therefore some room is set aside in a file while there is
plenty, and given up when there is none.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ci_common.quantities import format_bytes
from ci_common.space import Deficit
from ci_persistence.disk import fsync_folder

_LEAST_FILES = 1000
"""Names of files that must be left. Small logs use them up before they fill a disk."""

_EXHAUSTED = 1024 * 1024
"""Bytes below which the reserve is given up."""

_PLENTY = 2**62
_CHUNK = 1024 * 1024

_logger = logging.getLogger(__name__)


class _Room(NamedTuple):
    bytes: int
    files: int


class Reserve:
    """A file of ``size`` bytes whose blocks are really taken; 0 for none."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size

    @property
    def missing(self) -> int:
        """Bytes that have still to be set aside."""
        try:
            return max(0, self.size - self._path.stat().st_size)
        except FileNotFoundError:
            return self.size

    def fill(self) -> None:
        """Set the room aside. Idempotent. Raises ``OSError``; no part of it is kept then."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, min(self.size, os.fstat(fd).st_size))
            _allocate(fd, self.size)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        fsync_folder(self._path.parent)

    def release(self) -> bool:
        """Give the room back; return whether there was any. Raises ``OSError``."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


class DiskSpace:
    """The room of the file systems that ``folders`` are on (see ``Space``).

    Below ``min_free`` bytes nothing is taken in; 0 for no such mark, and no
    room is made.
    """

    def __init__(
        self, folders: Sequence[Path], *, min_free: int = 0, reserve: Reserve | None = None
    ) -> None:
        self._folders = tuple(folders)
        self._min_free = min_free
        # Room is made up to here, and a shortage ends half-way: what is made lasts for a while.
        self._ample = max(min_free + min_free // 4, 2 * _EXHAUSTED)
        self._recovered = min_free + min_free // 8
        self._reserve = reserve
        self._short = False

    def shortage(self, wanted: int = 0) -> str | None:
        """Return why nothing may be taken in now; None when it may."""
        if not self._min_free:
            return None
        room = self._usable()
        self._judge(room)
        kept = f"{format_bytes(self._min_free)} of it must stay free"
        if room.files < _LEAST_FILES:
            return f"the server's disk has names for {room.files} more files only"
        if self._short:
            return (
                f"the server's disk is nearly full: {format_bytes(max(0, room.bytes))} left, {kept}"
            )
        if room.bytes - wanted < self._min_free:
            return f"the server's disk has no room for {format_bytes(wanted)}: {kept}"
        return None

    def deficit(self) -> Deficit:
        """Return what has to go for room to be ample."""
        if not self._min_free:
            return Deficit(0, 0)
        room = self._usable()
        files = 2 * _LEAST_FILES - room.files
        return Deficit(max(0, self._ample - room.bytes), max(0, files))

    def keep_reserve(self) -> None:
        """Set the reserve aside when room is ample, give it up when there is none left."""
        if self._reserve is None:
            return
        try:
            if _least(self._folders).bytes < _EXHAUSTED:
                self.release_reserve()
            elif self._reserve.missing and self._usable().bytes >= self._ample:
                self._reserve.fill()
        except OSError as error:
            _logger.warning("no room could be kept in reserve: %s", error)

    def release_reserve(self) -> bool:
        """Give the reserve up; return whether there was one."""
        if self._reserve is None:
            return False
        try:
            released = self._reserve.release()
        except OSError as error:
            _logger.warning("the reserve could not be given up: %s", error)
            return False
        if released:
            _logger.warning(
                "the disk is full; the reserve of %d bytes is given up for clearing up",
                self._reserve.size,
            )
        return released

    def _usable(self) -> _Room:
        """Return the room there is beyond what the reserve lacks: that is not anybody's to take."""
        room = _least(self._folders)
        missing = self._reserve.missing if self._reserve else 0
        return _Room(room.bytes - missing, room.files)

    def _judge(self, room: _Room) -> None:
        mark = self._recovered if self._short else self._min_free
        short = room.bytes < mark
        if short != self._short:
            state = "no more jobs are taken" if short else "jobs are taken again"
            _logger.info("%s: %s free on disk", state, format_bytes(max(0, room.bytes)))
        self._short = short


def _allocate(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    # Not zeros: a file system that compresses would give us no room for them.
    written = 0
    while written < size:
        written += os.pwrite(fd, os.urandom(min(_CHUNK, size - written)), written)


def _least(folders: Sequence[Path]) -> _Room:
    """Return the least room of any of the folders; those that are not there do not count."""
    rooms = [room for room in map(_room_of, folders) if room is not None]
    return _Room(
        min((room.bytes for room in rooms), default=_PLENTY),
        min((room.files for room in rooms), default=_PLENTY),
    )


def _room_of(folder: Path) -> _Room | None:
    try:
        found = os.statvfs(folder)
    except FileNotFoundError:
        return None
    # Some file systems (btrfs) make names as they need them, and say 0 of 0.
    files = found.f_favail if found.f_files else _PLENTY
    return _Room(found.f_bavail * found.f_frsize, files)
