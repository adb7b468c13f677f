"""Zips of accepted jobs: ``<stash>/<job_id>.zip``, written first under ``<tmp>/``.

A zip gets its final name only when all of it is on disk, so a file in the
stash is always whole. What a crash leaves in either folder belongs to no row
and is swept by age.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ci_common.errors import StorageFull, UploadTooLarge
from ci_persistence.data_directory import ZIP_SUFFIX
from ci_persistence.disk import (
    ensure_folder,
    files_before,
    fsync_folder,
    is_disk_full,
    job_file,
)

DEFAULT_MAX_UPLOAD_BYTES = 512 * 1024 * 1024
"""Bytes of the largest zip accepted."""

_NO_FILE = -1


class FileUpload:
    """A zip on its way in (see ``Upload``). After any error its temporary file is gone."""

    def __init__(self, fd: int, path: Path, stash_folder: Path, max_bytes: int) -> None:
        self.path = str(path)
        self.size = 0
        self._fd = fd
        self._temporary = path
        self._stash_folder = stash_folder
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append to the file and to its hash.

        Raises:
            UploadTooLarge: this is more than ``max_bytes`` in all.
            StorageFull: the disk has no room for it.

        """
        if self.size + len(data) > self._max_bytes:
            self.discard()
            raise UploadTooLarge(
                f"the upload is larger than {self._max_bytes} bytes",
                hint="leave out what the tests do not need (.ciignore), or raise the limit",
            )
        with self._discarding():
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._hash.update(data)
        self.size += len(data)

    def sha256(self) -> str:
        """Return the hex digest of what was written."""
        return self._hash.hexdigest()

    def commit(self, job_id: str) -> str:
        """Make it durable under its final name; return that path.

        Raises:
            StorageFull: the disk has no room for it.
            JobNotFound: not a job id.

        """
        final = job_file(self._stash_folder, job_id, ZIP_SUFFIX)
        with self._discarding():
            # Bytes before name: a crash in between leaves a temporary file, never half a zip.
            os.fsync(self._fd)
            self._temporary.rename(final)
            self._release()
            try:
                fsync_folder(self._stash_folder)
                fsync_folder(self._temporary.parent)
            except OSError:
                final.unlink(missing_ok=True)
                raise
        self.path = str(final)
        return self.path

    def discard(self) -> None:
        """Delete the temporary file. Idempotent; does nothing after ``commit``."""
        if self._fd != _NO_FILE:
            self._release()
            self._temporary.unlink(missing_ok=True)

    def _release(self) -> None:
        fd, self._fd = self._fd, _NO_FILE
        os.close(fd)

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            if is_disk_full(error):
                raise _no_room() from error
            raise


class FileStash:
    """Zips in one folder (see ``Stash``); both folders must be on one file system."""

    def __init__(
        self, stash_folder: Path, tmp_folder: Path, *, max_bytes: int = DEFAULT_MAX_UPLOAD_BYTES
    ) -> None:
        self._stash_folder = stash_folder
        self._tmp_folder = tmp_folder
        self._max_bytes = max_bytes

    def new_upload(self) -> FileUpload:
        """Begin an upload. Raises ``StorageFull``."""
        try:
            ensure_folder(self._tmp_folder)
            ensure_folder(self._stash_folder)
            fd, name = tempfile.mkstemp(dir=self._tmp_folder, prefix="upload-", suffix=ZIP_SUFFIX)
        except OSError as error:
            if is_disk_full(error):
                raise _no_room() from error
            raise
        return FileUpload(fd, Path(name), self._stash_folder, self._max_bytes)

    def remove(self, path: str) -> None:
        """Delete a zip. Succeeds when it is gone.

        Only the last part of ``path`` counts, so nothing outside the stash is
        ever deleted, whatever a row says.
        """
        name = Path(path).name
        if name.endswith(ZIP_SUFFIX):
            (self._stash_folder / name).unlink(missing_ok=True)

    def remove_job(self, job_id: str) -> None:
        """Delete the zip of a job. Succeeds when it is gone. Raises ``JobNotFound``."""
        job_file(self._stash_folder, job_id, ZIP_SUFFIX).unlink(missing_ok=True)

    def stashed(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of zips written before ``older_than``."""
        for path in files_before(self._stash_folder, older_than):
            if path.suffix == ZIP_SUFFIX:
                yield path.stem

    def sweep_uploads(self, *, older_than: datetime) -> int:
        """Delete temporary files last written before ``older_than``; return how many."""
        count = 0
        for path in files_before(self._tmp_folder, older_than):
            path.unlink(missing_ok=True)
            count += 1
        return count


def _no_room() -> StorageFull:
    return StorageFull(
        "the disk has no room for this upload", hint="free space where the server keeps its data"
    )
