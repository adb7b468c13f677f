"""The log of a job: one append-only run of bytes, read by offset."""

from typing import Protocol


class LogWriter(Protocol):
    """The one writer of a job's log. Used from one thread at a time."""

    @property
    def size(self) -> int:
        """Bytes in the log."""
        ...

    def write(self, data: bytes) -> None:
        """Append. Past the store's limit the rest is dropped, once with a marker.

        A full disk is not the job's fault: what cannot be written is dropped,
        a marker follows when there is room again, and nothing is raised.
        """
        ...

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        ...


class LogStore(Protocol):
    """Logs by job id. Calls are short, block, and may come from any thread or process."""

    def open(self, job_id: str) -> LogWriter:
        """Open a log to append to, creating it if needed."""
        ...

    def size(self, job_id: str) -> int:
        """Return the bytes in a log; 0 when there is none."""
        ...

    def read(self, job_id: str, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``; empty at or past the end."""
        ...

    def remove(self, job_id: str) -> None:
        """Delete a log. Succeeds when there is none."""
        ...
