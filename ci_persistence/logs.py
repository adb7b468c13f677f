"""Logs as files: ``<folder>/<job_id>.log``, one run of bytes each.

The bytes of a log are those of the engine, from the offset where the attempt
began. After a crash the engine's own output is read again from its start and
as many bytes are skipped as the log already has. Therefore nothing may stand
in the middle that the engine did not say: a marker of ours is always the last
thing in the file, and *seals* it. A sealed log takes no more bytes, from any
process. The seal is the missing write permission of the file: it needs no
second file, and it holds even if the limit is changed afterwards.

A log is synced once, before its job's verdict is written down: a verdict that
outlives a power loss has its log. Until then nothing is. A killed process loses
no byte that reached the kernel. Losing power ends the container too: what its
log lost is followed by the next attempt's own output, while an fsync for each
chunk would hold back the drain of a busy container, and with it the job.
"""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from ci_persistence.data_directory import LOG_SUFFIX
from ci_persistence.disk import (
    ensure_folder,
    files_before,
    files_in,
    fsync_folder,
    is_disk_full,
    job_file,
)
from ci_persistence.open_file import OpenFile

DEFAULT_MAX_LOG_BYTES = 256 * 1024 * 1024
"""Bytes of output kept per job."""

_OPEN_MODE = 0o600
_SEALED_MODE = 0o400
_NEWLINE = 0x0A
_NO_FILE = -1

_logger = logging.getLogger(__name__)


def _limit_marker(kept: int) -> bytes:
    return b"[ci] The log limit is reached: output after byte %d is not kept.\n" % kept


def _loss_marker(kept: int, lost: int) -> bytes:
    return (
        b"[ci] The disk was full: %d bytes of output after byte %d could not be kept.\n"
        % (lost, kept)
    )  # fmt: skip


class FileLogWriter:
    """The one writer of a log (see ``LogWriter``)."""

    def __init__(self, path: Path, limit: int, *, sealed: bool) -> None:
        self._path = path
        self._limit = limit
        self._sealed = sealed
        self._fd = _NO_FILE if sealed else _open_if_room(path)
        self._size = _size_of(path)
        self._at_line_start = self._fd == _NO_FILE or _ends_with_newline(self._fd, self._size)
        self._lost = 0
        self._owed = b""

    @property
    def size(self) -> int:
        """Bytes in the log, a marker included."""
        return self._size

    @property
    def sealed(self) -> bool:
        """Whether the log takes no more bytes."""
        return self._sealed

    def write(self, data: bytes) -> None:
        """Append up to the limit.

        From the first byte that cannot be written everything is dropped until
        ``close``, even if there is room again: a gap would break the offsets.
        """
        if self._sealed:
            return
        room = max(0, self._limit - self._size)
        fitting = memoryview(data)[:room]
        kept = 0 if self._lost else self._append(fitting)
        if self._lost or kept < len(fitting):
            self._lost += len(data) - kept
        elif len(data) > room:
            self._seal(_limit_marker(self._size))

    def close(self, *, will_resume: bool = False) -> None:
        """Append the marker that is due, if any, and let go of the file. Idempotent.

        ``will_resume`` says that the container goes on and will be followed
        again: lost bytes are then not marked, because the next process can
        still get them from the engine.
        """
        if self._owed:
            self._write_owed()
        elif self._lost and not self._sealed and not will_resume:
            self._mark_loss()
        self._sealed = True
        if self._fd != _NO_FILE:
            os.close(self._fd)
            self._fd = _NO_FILE

    def _append(self, data: memoryview) -> int:
        """Write as much of ``data`` as the disk takes; return the bytes written."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError as error:
            _logger.warning("the log %s cannot be written: %s", self._path, error)
        if done:
            self._size += done
            self._at_line_start = data[done - 1] == _NEWLINE
        return done

    def _mark_loss(self) -> None:
        if self._fd == _NO_FILE:
            self._fd = _open_if_room(self._path)
        before = self._size
        self._seal(_loss_marker(before, self._lost))
        if self._size == before:
            # Still full. The log is a clean beginning, which can be gone on with.
            self._chmod(_OPEN_MODE)
        self._owed = b""

    def _seal(self, marker: bytes) -> None:
        # The seal comes first: killed in between, we leave a log without a marker, which
        # is better than one whose marker is taken for the engine's own bytes.
        self._chmod(_SEALED_MODE)
        self._sealed = True
        self._owed = marker if self._at_line_start else b"\n" + marker
        self._write_owed()

    def _write_owed(self) -> None:
        self._owed = self._owed[self._append(memoryview(self._owed)) :]

    def _chmod(self, mode: int) -> None:
        try:
            os.fchmod(self._fd, mode)
        except OSError as error:
            _logger.warning("the log %s cannot be sealed: %s", self._path, error)


class FileLogStore:
    """Logs in one folder (see ``LogStore``). ``limit`` is in bytes per log, markers not counted."""

    def __init__(self, folder: Path, *, limit: int = DEFAULT_MAX_LOG_BYTES) -> None:
        self._folder = folder
        self._limit = limit

    def open(self, job_id: str, *, new_attempt: bool = False) -> FileLogWriter:
        """Open a log to append to.

        A sealed log stays sealed, so that going on with the same attempt adds
        nothing at a wrong place. ``new_attempt`` says that what follows has an
        offset of its own: a log that lost bytes to a full disk is then written
        again, one at its limit is not.

        Raises:
            JobNotFound: not a job id.

        """
        path = job_file(self._folder, job_id, LOG_SUFFIX)
        sealed = _is_sealed(path)
        if sealed and new_attempt and _size_of(path) < self._limit:
            path.chmod(_OPEN_MODE)
            sealed = False
        return FileLogWriter(path, self._limit, sealed=sealed)

    def size(self, job_id: str) -> int:
        """Return the bytes in a log; 0 when there is none. Raises ``JobNotFound``."""
        return _size_of(job_file(self._folder, job_id, LOG_SUFFIX))

    def read(self, job_id: str, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``. Raises ``JobNotFound``."""
        log = self.open_reader(job_id)
        if log is None:
            return b""
        with closing(log):
            return log.read(offset, limit)

    def open_reader(self, job_id: str) -> OpenFile | None:
        """Hold a log open; None when there is none. Raises ``JobNotFound``."""
        path = job_file(self._folder, job_id, LOG_SUFFIX)
        try:
            return OpenFile(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def stored(self, *, older_than: datetime) -> Iterator[str]:
        """Yield the job ids of logs last written before ``older_than``, as they are asked for."""
        for path in files_before(self._folder, older_than):
            if path.suffix == LOG_SUFFIX:
                yield path.stem

    def usage(self) -> int:
        """Return the bytes of all logs together."""
        total = 0
        for entry in files_in(self._folder):
            with suppress(FileNotFoundError):  # deleted meanwhile
                total += entry.stat(follow_symlinks=False).st_size
        return total

    def sync(self, job_id: str) -> None:
        """Make durable what is in a log, if there is one. Raises ``JobNotFound``."""
        path = job_file(self._folder, job_id, ".log")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(fd)
            fsync_folder(self._folder)
        except OSError as error:
            _logger.warning("the log %s may not outlive a power loss: %s", path, error)
        finally:
            os.close(fd)

    def remove(self, job_id: str) -> None:
        """Delete a log. Succeeds when there is none. Raises ``JobNotFound``."""
        job_file(self._folder, job_id, LOG_SUFFIX).unlink(missing_ok=True)


def _open_if_room(path: Path) -> int:
    """Open to append; ``_NO_FILE`` if the disk has no room for even an empty file."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        ensure_folder(path.parent)
        return os.open(path, flags, _OPEN_MODE)
    except OSError as error:
        if not is_disk_full(error):
            raise
        _logger.warning("the log %s cannot be begun: %s", path, error)
        return _NO_FILE


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_sealed(path: Path) -> bool:
    try:
        return not path.stat().st_mode & stat.S_IWUSR
    except FileNotFoundError:
        return False


def _ends_with_newline(fd: int, size: int) -> bool:
    return size == 0 or os.pread(fd, 1, size - 1)[0] == _NEWLINE
