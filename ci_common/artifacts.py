"""Files that jobs leave behind on purpose: one tar per job, and where in it each file lies."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A kept file. ``path`` is relative to the project's folder; ``modified``: seconds since 1970.

    ``offset`` is where its ``size`` bytes begin in the job's tar.
    """

    path: str
    size: int
    sha256: str
    modified: int
    offset: int
    executable: bool = False


class ArtifactWriter(Protocol):
    """The tar of one job while it is written. Used from one thread at a time."""

    def add(
        self, path: str, size: int, content: Iterable[bytes], *, modified: int, executable: bool
    ) -> Artifact:
        """Append a file of ``size`` bytes; what ``content`` has too few of is filled with zeros.

        Raises:
            StorageFull: the disk has no room; nothing more can be added then.

        """
        ...

    def commit(self) -> None:
        """Make it durable, in place of an earlier one. Raises ``StorageFull``."""
        ...

    def discard(self) -> None:
        """Let go of it, and delete it if it was not committed. Idempotent."""
        ...


class ArtifactReader(Protocol):
    """A job's tar held open: it can be read to its end, even if it is deleted meanwhile."""

    @property
    def size(self) -> int:
        """Bytes of the tar."""
        ...

    def read(self, offset: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``offset``; empty at or past the end."""
        ...

    def close(self) -> None:
        """Let go of the tar. Idempotent."""
        ...


class ArtifactStore(Protocol):
    """Artifacts by job id. Calls block, and may come from any thread or process."""

    def new(self, job_id: str) -> ArtifactWriter:
        """Begin a job's tar. Raises ``StorageFull``."""
        ...

    def open_reader(self, job_id: str) -> ArtifactReader | None:
        """Hold a job's tar open; None when there is none (any more)."""
        ...

    def size(self, job_id: str) -> int:
        """Return the bytes of a job's tar; 0 when there is none."""
        ...

    def remove(self, job_id: str) -> None:
        """Delete a job's tar. Succeeds when there is none."""
        ...

    def stored(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of tars last written before ``older_than``, as they are asked for."""
        ...

    def usage(self) -> int:
        """Return the bytes of all tars together. Looks at each: for a worker thread."""
        ...
