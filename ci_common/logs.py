"""The log of a job: one append-only run of bytes, read by offset."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol


class LogWriter(Protocol):
    """The one writer of a job's log. Used from one thread at a time."""

    @property
    def size(self) -> int:
        """Bytes in the log."""
        ...

    @property
    def sealed(self) -> bool:
        """Whether the log takes no more bytes."""
        ...

    def write(self, data: bytes) -> None:
        """Append. Past the store's limit the rest is dropped, once with a marker.

        A full disk is not the job's fault: from the first byte that cannot be
        written everything is dropped until ``close``, and nothing is raised. A
        gap would break the offsets of those who come later.
        """
        ...

    def close(self, *, will_resume: bool = False) -> None:
        """Mark what was lost, if anything, and let go of the file. Idempotent.

        ``will_resume``: the same output will be read again from the engine, so
        nothing is lost yet, and nothing is marked.
        """
        ...


class LogReader(Protocol):
    """A log held open: it can be read to its end, even if it is deleted meanwhile."""

    @property
    def size(self) -> int:
        """Bytes in the log now."""
        ...

    def read(self, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``; empty at or past the end."""
        ...

    def close(self) -> None:
        """Let go of the log. Idempotent."""
        ...


class LogStore(Protocol):
    """Logs by job id. Calls are short, block, and may come from any thread or process."""

    def open(self, job_id: str, *, new_attempt: bool = False) -> LogWriter:
        """Open a log to append to, creating it if needed.

        A log whose end was marked as lost takes no more, unless a
        ``new_attempt`` begins, whose output has an offset of its own.
        """
        ...

    def size(self, job_id: str) -> int:
        """Return the bytes in a log; 0 when there is none."""
        ...

    def read(self, job_id: str, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``; empty at or past the end."""
        ...

    def sync(self, job_id: str) -> None:
        """Make durable what is in a log. A disk that refuses is no error here; may take long."""
        ...

    def remove(self, job_id: str) -> None:
        """Delete a log. Succeeds when there is none."""
        ...

    def open_reader(self, job_id: str) -> LogReader | None:
        """Hold a log open; None when there is none (any more)."""
        ...

    def stored(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of logs last written before ``older_than``, read as they are asked for.

        Some of those deleted meanwhile may be among them.
        """
        ...

    def usage(self) -> int:
        """Return the bytes of all logs together. Looks at each: for a worker thread."""
        ...
