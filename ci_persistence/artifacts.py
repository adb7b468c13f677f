"""Artifacts as files: one tar per job (see ``ArtifactStore`` for the contract).

``<artifacts>/<job_id>.tar`` is a plain tar that any tool reads: to make it
durable takes one fsync, however many files there are, and whatever a job calls
a file is never a name on the server's disk. It is written under ``<tmp>/``
first, so what has its final name is whole.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from ci_common.artifacts import Artifact
from ci_common.errors import StorageFull
from ci_persistence.data_directory import ARTIFACTS_SUFFIX
from ci_persistence.disk import (
    ensure_folder,
    files_before,
    files_in,
    fsync_folder,
    is_disk_full,
    is_job_file,
    job_file,
)
from ci_persistence.held_files import new_held_file
from ci_persistence.open_file import OpenFile

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_ZEROS = bytes(64 * 1024)


class TarArtifactWriter:
    """One job's tar while it is written (see ``ArtifactWriter``)."""

    def __init__(self, file: io.FileIO, path: Path, final: Path) -> None:
        self._file = file
        self._temporary: Path | None = path
        self._final = final
        self._position = 0

    def add(
        self, path: str, size: int, content: Iterable[bytes], *, modified: int, executable: bool
    ) -> Artifact:
        """Append a file. Raises ``StorageFull``; the tar is gone then."""
        entry = tarfile.TarInfo(path)
        entry.size, entry.mtime = size, modified
        entry.mode = 0o755 if executable else 0o644
        digest = hashlib.sha256()
        with self._discarding():
            self._write(entry.tobuf(tarfile.PAX_FORMAT))
            offset, left = self._position, size
            for data in content:
                piece = data[:left]
                left -= len(piece)
                digest.update(piece)
                self._write(piece)
            while left:
                piece = _ZEROS[:left]
                left -= len(piece)
                digest.update(piece)
                self._write(piece)
            self._write(bytes(-size % _BLOCK))
        return Artifact(
            path=path,
            size=size,
            sha256=digest.hexdigest(),
            modified=modified,
            offset=offset,
            executable=executable,
        )

    def commit(self) -> None:
        """Make it durable under its final name. Raises ``StorageFull``."""
        temporary = self._temporary
        if temporary is None:
            return
        with self._discarding():
            self._write(_END)
            os.fsync(self._file.fileno())
            ensure_folder(self._final.parent)
            temporary.rename(self._final)
            self._temporary = None
            fsync_folder(self._final.parent)

    def discard(self) -> None:
        """Let go of it, and delete it if it was not committed. Idempotent."""
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]
        self._position += len(data)

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise _refusal(error) from error


class FileArtifactStore:
    """See ``ArtifactStore``. Both folders must be on one file system."""

    def __init__(self, folder: Path, tmp_folder: Path) -> None:
        self._folder = folder
        self._tmp_folder = tmp_folder

    def new(self, job_id: str) -> TarArtifactWriter:
        """Begin a job's tar. Raises ``StorageFull``, ``JobNotFound``."""
        final = self._path(job_id)
        try:
            ensure_folder(self._tmp_folder)
            file, path = new_held_file(
                self._tmp_folder, prefix="artifacts-", suffix=ARTIFACTS_SUFFIX
            )
        except OSError as error:
            raise _refusal(error) from error
        return TarArtifactWriter(file, path, final)

    def open_reader(self, job_id: str) -> OpenFile | None:
        """Hold a job's tar open; None when there is none. Raises ``JobNotFound``."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            return OpenFile(os.open(self._path(job_id), flags))
        return None

    def size(self, job_id: str) -> int:
        """Return the bytes of a job's tar; 0 when there is none. Raises ``JobNotFound``."""
        with suppress(FileNotFoundError):
            return self._path(job_id).stat().st_size
        return 0

    def remove(self, job_id: str) -> None:
        """Delete a job's tar. Succeeds when there is none. Raises ``JobNotFound``."""
        self._path(job_id).unlink(missing_ok=True)

    def stored(self, *, older_than: datetime) -> Iterable[str]:
        """Yield the job ids of tars last written before ``older_than``."""
        for path in files_before(self._folder, older_than):
            if is_job_file(path.name, ARTIFACTS_SUFFIX):
                yield path.stem

    def usage(self) -> int:
        """Return the bytes of all tars together."""
        total = 0
        for entry in files_in(self._folder):
            with suppress(FileNotFoundError):  # deleted meanwhile
                total += entry.stat(follow_symlinks=False).st_size
        return total

    def _path(self, job_id: str) -> Path:
        return job_file(self._folder, job_id, ARTIFACTS_SUFFIX)


def _refusal(error: OSError) -> Exception:
    if is_disk_full(error):
        return StorageFull(
            "the disk has no room for these artifacts",
            hint="free space where the server keeps its data",
        )
    return error
