"""Projects of accepted jobs and packs of blobs, written first under ``<tmp>/``.

A job's is ``<stash>/<job_id>.zip``, or ``.tree`` with contents in packs; a pack
is ``<packs>/<number>.zip``. A file gets its final name only when all of it is
on disk, so what has one is always whole. What a crash leaves in any folder
belongs to no row and is swept by age. Until an upload is let go of its file is
locked, with a lock that ends with the process: no sweep of any process takes a
file whose row is still to come, however old the file is or seems.
"""

import hashlib
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ci_common.errors import StorageFull, UploadTooLarge
from ci_common.project_tree import TREE_SUFFIX, pack_name
from ci_persistence.data_directory import PACK_NAME, PACKS, STASH_SUFFIXES, ZIP_SUFFIX
from ci_persistence.disk import (
    ensure_folder,
    files_before,
    fsync_folder,
    is_disk_full,
    job_file,
)
from ci_persistence.held_files import (
    is_held,
    new_held_file,
    share_held_file,
    unlink_unless_held,
)

DEFAULT_MAX_UPLOAD_BYTES = 512 * 1024 * 1024
"""Bytes of the largest zip accepted."""

_PACK = re.compile(PACK_NAME)


class FileUpload:
    """A zip on its way in (see ``Upload``). After any error its temporary file is gone."""

    def __init__(
        self, file: io.FileIO, path: Path, stash_folder: Path, packs_folder: Path, max_bytes: int
    ) -> None:
        self.path = str(path)
        self.size = 0
        self._file = file
        self._temporary: Path | None = path
        self._stash_folder = stash_folder
        self._packs_folder = packs_folder
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
                rest = rest[os.write(self._file.fileno(), rest) :]
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
        return self._commit_as(job_file(self._stash_folder, job_id, ZIP_SUFFIX))

    def commit_tree(self, job_id: str) -> str:
        """Make it durable as the tree of a job; return that path. Raises as ``commit``."""
        return self._commit_as(job_file(self._stash_folder, job_id, TREE_SUFFIX))

    def commit_pack(self, pack: int) -> str:
        """Make it durable as a pack; return that path. Raises ``StorageFull``."""
        with self._discarding():
            ensure_folder(self._packs_folder)
        return self._commit_as(self._packs_folder / pack_name(pack))

    def _commit_as(self, final: Path) -> str:
        temporary = Path(self.path)
        with self._discarding():
            # Bytes before name: a crash in between leaves a temporary file, never half a zip.
            os.fsync(self._file.fileno())
            temporary.rename(final)
            self._temporary = None
            try:
                fsync_folder(final.parent)
                fsync_folder(temporary.parent)
            except OSError:
                final.unlink(missing_ok=True)
                raise
        self.path = str(final)
        return self.path

    def keep(self) -> None:
        """Have the file stay when it is let go of."""
        self._temporary = None

    def discard(self) -> None:
        """Let go of the file, and delete it if it was not committed. Idempotent."""
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        self._file.close()

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
    """See ``Stash``. All folders must be on one file system; packs lie beside the stash."""

    def __init__(
        self, stash_folder: Path, tmp_folder: Path, *, max_bytes: int = DEFAULT_MAX_UPLOAD_BYTES
    ) -> None:
        self.packs_folder = stash_folder.parent / PACKS
        self._stash_folder = stash_folder
        self._tmp_folder = tmp_folder
        self._max_bytes = max_bytes

    def new_upload(self) -> FileUpload:
        """Begin an upload. Raises ``StorageFull``."""
        return self._new_file(self._max_bytes)

    def keep_tree(self, job_id: str, content: bytes) -> FileUpload:
        """Write a job's tree, durably; return it, to be let go of. Raises ``StorageFull``."""
        upload = self._new_file(len(content))
        try:
            upload.write(content)
            upload.commit_tree(job_id)
        except BaseException:
            upload.discard()
            raise
        return upload

    def keep_again(self, path: str, job_id: str) -> FileUpload:
        """Have the project of one job be that of another too; return it, to be let go of.

        Raises:
            FileNotFoundError: the first one is not there any more.
            StorageFull: the disk has no room for it.

        """
        source = self._stash_folder / Path(path).name
        target = job_file(self._stash_folder, job_id, source.suffix)
        file = share_held_file(source)
        again = FileUpload(file, target, self._stash_folder, self.packs_folder, self._max_bytes)
        try:
            # A second name costs no room, and each may go without the other.
            target.hardlink_to(source)
            again.size = target.stat().st_size
            fsync_folder(target.parent)
        except OSError as error:
            again.discard()  # with the second name, if it has got it
            if is_disk_full(error):
                raise _no_room() from error
            raise
        again.keep()
        return again

    def _new_file(self, max_bytes: int) -> FileUpload:
        try:
            ensure_folder(self._tmp_folder)
            ensure_folder(self._stash_folder)
            file, path = new_held_file(self._tmp_folder, prefix="upload-", suffix=ZIP_SUFFIX)
        except OSError as error:
            if is_disk_full(error):
                raise _no_room() from error
            raise
        return FileUpload(file, path, self._stash_folder, self.packs_folder, max_bytes)

    def remove(self, path: str) -> None:
        """Delete a job's zip or tree. Succeeds when it is gone.

        Only the last part of ``path`` counts, so nothing outside the stash is
        ever deleted, whatever a row says.
        """
        name = Path(path).name
        if name.endswith(STASH_SUFFIXES):
            (self._stash_folder / name).unlink(missing_ok=True)

    def remove_job(self, job_id: str) -> None:
        """Delete the zip or tree of a job. Succeeds when it is gone. Raises ``JobNotFound``."""
        for suffix in STASH_SUFFIXES:
            job_file(self._stash_folder, job_id, suffix).unlink(missing_ok=True)

    def stashed(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of zips and trees let go of and written before ``older_than``."""
        for path in files_before(self._stash_folder, older_than):
            if path.suffix in STASH_SUFFIXES and not is_held(path):
                yield path.stem

    def lost_packs(self, packs: Collection[int]) -> Collection[int]:
        """Return those of the packs whose files are not there."""
        return {pack for pack in packs if not (self.packs_folder / pack_name(pack)).is_file()}

    def kept_packs(self, *, older_than: datetime) -> Collection[int]:
        """Return the packs whose files were let go of and written before ``older_than``."""
        found = files_before(self.packs_folder, older_than)
        packs = [path for path in found if _PACK.fullmatch(path.name)]
        return {int(path.stem, 16) for path in packs if not is_held(path)}

    def remove_pack(self, pack: int) -> None:
        """Delete the file of a pack. Succeeds when it is gone."""
        (self.packs_folder / pack_name(pack)).unlink(missing_ok=True)

    def sweep_uploads(self, *, older_than: datetime) -> int:
        """Delete temporary files let go of and last written before ``older_than``; count them."""
        return sum(unlink_unless_held(path) for path in files_before(self._tmp_folder, older_than))


def _no_room() -> StorageFull:
    return StorageFull(
        "the disk has no room for this upload", hint="free space where the server keeps its data"
    )
