"""Files that are read while they may be deleted."""

import os

_NO_FILE = -1


class OpenFile:
    """One held open (see ``LogReader``, ``ArtifactReader``). Its bytes stay until it is closed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``."""
        return os.pread(self._fd, limit, offset)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        fd, self._fd = self._fd, _NO_FILE
        if fd != _NO_FILE:
            os.close(fd)

    # An answer that is never begun, because its client is gone, closes nothing.
    __del__ = close
