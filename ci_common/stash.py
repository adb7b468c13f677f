"""Projects of accepted jobs, until they have ended: zips, or trees that read from packs."""

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
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

    def commit_pack(self, pack: int) -> str:
        """Make it durable as a pack; return that path. Raises ``StorageFull``."""
        ...

    def discard(self) -> None:
        """Delete the temporary file. Idempotent; does nothing after ``commit``."""
        ...


class Stash(Protocol):
    """Where projects and packs are, as files.

    Calls block for the disk and may come from any thread or process.
    ``packs_folder`` is where the packs are.
    """

    packs_folder: Path

    def new_upload(self) -> Upload:
        """Begin an upload. Raises ``StorageFull``."""
        ...

    def keep_tree(self, job_id: str, content: bytes) -> str:
        """Write a job's tree, durably; return its path. Raises ``StorageFull``."""
        ...

    def remove(self, path: str) -> None:
        """Delete a job's zip or tree. Succeeds when it is gone."""
        ...

    def stashed(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of zips and trees written before ``older_than``."""
        ...

    def remove_job(self, job_id: str) -> None:
        """Delete the zip or tree of a job. Succeeds when it is gone."""
        ...

    def lost_packs(self, packs: Collection[int]) -> Collection[int]:
        """Return those of the packs whose files are not there."""
        ...

    def kept_packs(self, *, older_than: datetime) -> Collection[int]:
        """Return the packs whose files were written before ``older_than``."""
        ...

    def remove_pack(self, pack: int) -> None:
        """Delete the file of a pack. Succeeds when it is gone."""
        ...

    def sweep_uploads(self, *, older_than: datetime) -> int:
        """Delete temporary files last written before ``older_than``; return how many."""
        ...
