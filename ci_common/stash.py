"""Projects of accepted jobs: zips, or trees that read from packs.

They are there until their jobs have ended, and for a while after that, for retries.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Upload(Protocol):
    """A zip on its way in, in a temporary file. Used from one thread at a time.

    Until it is let go of by ``discard``, no sweep takes its file: let go when
    the row that explains it is stored.
    """

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
        """Let go of the file, and delete it if it was not committed. Idempotent."""
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

    def keep_tree(self, job_id: str, content: bytes) -> Upload:
        """Write a job's tree, durably; return it, to be let go of. Raises ``StorageFull``."""
        ...

    def keep_again(self, path: str, job_id: str) -> Upload:
        """Have the project of one job be that of another too; return it, to be let go of.

        Durable. What becomes of the first one is of no matter to the second.

        Raises:
            FileNotFoundError: the first one is not there any more.
            StorageFull: the disk is full.

        """
        ...

    def remove(self, path: str) -> None:
        """Delete a job's zip or tree. Succeeds when it is gone."""
        ...

    def stashed(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of zips and trees let go of and written before ``older_than``."""
        ...

    def remove_job(self, job_id: str) -> None:
        """Delete the zip or tree of a job. Succeeds when it is gone."""
        ...

    def lost_packs(self, packs: Collection[int]) -> Collection[int]:
        """Return those of the packs whose files are not there."""
        ...

    def kept_packs(self, *, older_than: datetime) -> Collection[int]:
        """Return the packs whose files were let go of and written before ``older_than``."""
        ...

    def remove_pack(self, pack: int) -> None:
        """Delete the file of a pack. Succeeds when it is gone."""
        ...

    def sweep_uploads(self, *, older_than: datetime) -> int:
        """Delete temporary files let go of and last written before ``older_than``; count them."""
        ...
