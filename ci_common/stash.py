"""Zips of accepted jobs, until they have ended."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol


class Upload(Protocol):
    """A zip on its way in, in a temporary file. Used from one thread at a time."""

    path: str
    size: int

    def write(self, data: bytes) -> None:
        """Append to the file and to its hash. Raises ``UploadTooLarge``, ``StorageFull``."""
        ...

    def sha256(self) -> str:
        """Return the hex digest of what was written."""
        ...

    def commit(self, job_id: str) -> str:
        """Make it durable under its final name; return that path. Raises ``StorageFull``."""
        ...

    def discard(self) -> None:
        """Delete the temporary file. Idempotent; does nothing after ``commit``."""
        ...


class Stash(Protocol):
    """Where the zips are. Calls block for the disk and may come from any thread or process."""

    def new_upload(self) -> Upload:
        """Begin an upload. Raises ``StorageFull``."""
        ...

    def remove(self, path: str) -> None:
        """Delete a zip. Succeeds when it is gone."""
        ...

    def stashed(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of zips written before ``older_than``."""
        ...

    def remove_job(self, job_id: str) -> None:
        """Delete the zip of a job. Succeeds when it is gone."""
        ...

    def sweep_uploads(self, *, older_than: datetime) -> int:
        """Delete temporary files last written before ``older_than``; return how many."""
        ...
