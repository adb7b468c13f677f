"""The zip of a project. The same files give the same bytes."""

from __future__ import annotations

import io
import os
import stat
import time
from contextlib import contextmanager

from ci_client.terminal import printable
from ci_client.upload import FilesChanged
from ci_client.zip_writer import ZipWriter
from ci_common.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from ci_client.files import Entry, Selection

    Report = Callable[[str], None]
    Note = Callable[[int], None]

_IN_MEMORY = 8 * 1024 * 1024
_CHUNK = 256 * 1024
# The zip lives for one upload: level 1 packs several times faster than the default for a
# few percent more bytes.
_LEVEL = 1
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_LATEST = (2107, 12, 31, 23, 59, 58)
_PACKED = (".7z", ".bz2", ".gz", ".jpeg", ".jpg", ".mp4", ".png", ".whl", ".xz", ".zip", ".zst")


class Unreadable(Exception):
    """A file cannot be opened any more."""


class GrowingZip:
    """A zip that is made while it is sent, and kept, so that it can be sent again as it was.

    ``make`` returns its parts, and reports how many bytes of files it has read,
    out of ``total``. ``size`` is that of the zip, None as long as it is not made.
    """

    def __init__(self, make: Callable[[Note], Iterator[bytes]], total: int) -> None:
        self.size: int | None = None
        self._parts = make(self._note)
        self._total = total
        self._read = 0
        self._kept = _room_for(total)
        self._made = 0
        self._failure: Exception | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the zip from its beginning.

        Raises:
            InvalidRequest: nothing could be read, or a file broke off in the middle.
            FilesChanged: a file is not what its name says.

        """
        at = 0
        while True:
            if at < self._made:
                self._kept.seek(at)
                piece = self._kept.read(_CHUNK)
            else:
                piece = self._next()
            if not piece:
                return
            at += len(piece)
            yield piece

    def whole(self) -> IO[bytes]:
        """Return all of it as an open file, at its start. Raises as ``pieces``."""
        while self._next():
            pass
        self._kept.seek(0)
        return self._kept

    def progress(self, sent: int) -> tuple[int, int]:
        """Return how much of how much has been done when ``sent`` bytes are out."""
        if self.size is not None:
            return sent, self.size
        # What it will weigh is not known yet: measured by what went in.
        return min(self._read, self._total - 1), self._total

    def close(self) -> None:
        """Delete it."""
        self._kept.close()

    def _next(self) -> bytes:
        """Make the next piece and keep it; empty when there is none."""
        if self._failure:  # a generator that has failed looks like one that is done
            raise self._failure
        try:
            piece = self._batch()
        except Exception as failure:
            self._failure = failure
            raise
        self._kept.seek(self._made)
        self._kept.write(piece)
        self._made += len(piece)
        if not piece:
            self.size = self._made
        return piece

    def _batch(self) -> bytes:
        batch, size = [], 0
        for part in self._parts:
            batch.append(part)
            size += len(part)
            if size >= _CHUNK:
                break
        return b"".join(batch)

    def _note(self, read: int) -> None:
        self._read += read


def pack(selection: Selection, *, warn: Report, progress: Report | None = None) -> IO[bytes]:
    """Return the zip as an open file, at its start; closing it leaves nothing behind.

    ``progress`` is told each name; ``warn`` what vanished or cannot be read.

    Raises:
        InvalidRequest: nothing could be read, or a file broke off in the middle.

    """
    made = project_zip(selection, warn=warn, progress=progress)
    try:
        return made.whole()
    except BaseException:
        made.close()
        raise


def project_zip(
    selection: Selection, *, warn: Report, progress: Report | None = None
) -> GrowingZip:
    """Return the zip of what is selected, not made yet. As ``pack`` otherwise."""

    def make(note: Note) -> Iterator[bytes]:
        return _project_parts(selection, warn, progress, note)

    return GrowingZip(make, selection.size)


def blob_zip(root: str, files: Iterable[tuple[str, Entry]]) -> GrowingZip:
    """Return a zip of files under ``root``, each named by its SHA-256, not made yet."""
    members = list(files)
    total = sum(entry.size for _, entry in members)
    return GrowingZip(lambda note: _blob_parts(root, members, note), total)


def _project_parts(
    selection: Selection, warn: Report, progress: Report | None, note: Note
) -> Iterator[bytes]:
    written = 0
    archive = ZipWriter(level=_LEVEL)
    for entry in selection.entries:
        if progress:
            progress(entry.name)
        try:
            yield from _member(archive, selection.root, entry, note)
            written += 1
        except Unreadable as error:
            warn(f"{printable(entry.name)} is left out: {error}")
    if not written:
        raise InvalidRequest(f"{selection.root} has no file that can be read")
    yield from archive.finish()


def _blob_parts(root: str, files: Iterable[tuple[str, Entry]], note: Note) -> Iterator[bytes]:
    archive = ZipWriter(level=_LEVEL)
    for sha256, entry in files:
        try:
            with opened(root, entry) as content:
                yield from _file(archive, sha256, entry, _proved(_noted(content, note), sha256))
        except Unreadable as error:
            raise FilesChanged from error
    yield from archive.finish()


def _proved(content: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    import hashlib

    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise FilesChanged


def _noted(content: Iterable[bytes], note: Note) -> Iterator[bytes]:
    for piece in content:
        note(len(piece))
        yield piece


def _member(archive: ZipWriter, root: str, entry: Entry, note: Note) -> Iterator[bytes]:
    if entry.link is None:
        with opened(root, entry) as content:
            yield from _file(archive, entry.name, entry, _noted(content, note))
        return
    target = os.fsencode(entry.link)
    mode, moment = stat.S_IFLNK | 0o777, _date_time(entry.mtime)
    yield from archive.add(
        entry.name, [target], mode=mode, moment=moment, size=len(target), pack=False
    )


def _file(archive: ZipWriter, name: str, entry: Entry, content: Iterable[bytes]) -> Iterator[bytes]:
    # As git keeps it: whether a file can be run, not what the submitter's umask was.
    mode = stat.S_IFREG | (0o755 if entry.executable else 0o644)
    pack = entry.size > 0 and not entry.name.lower().endswith(_PACKED)
    moment = _date_time(entry.mtime)
    return archive.add(name, content, mode=mode, moment=moment, size=entry.size, pack=pack)


def _room_for(size: int) -> IO[bytes]:
    if size <= _IN_MEMORY:
        return io.BytesIO()
    from tempfile import TemporaryFile

    return TemporaryFile(suffix=".zip")


def _date_time(mtime: float) -> tuple[int, int, int, int, int, int]:
    # UTC, so that the zip does not depend on where it was made. Zip knows 1980 to 2107.
    try:
        moment = time.gmtime(mtime)[:6]
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    return min(max(moment, _EARLIEST), _LATEST)


@contextmanager
def opened(root: str, entry: Entry) -> Iterator[Iterator[bytes]]:
    """Open a file that may by now have been replaced by anything; give its content in pieces.

    Raises:
        Unreadable: it is gone, not ours to read, or no plain file any more.

    """
    try:
        descriptor = os.open(f"{root}/{entry.name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(error.strerror) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("it is no plain file any more")
        yield _read(descriptor, entry)
    finally:
        os.close(descriptor)


def _read(descriptor: int, entry: Entry) -> Iterator[bytes]:
    """Yield no more than the size seen: a log that grows while it is read must not hold us up."""
    left = entry.size
    try:
        while left > 0 and (data := os.read(descriptor, min(left, _CHUNK))):
            left -= len(data)
            yield data
    except OSError as error:
        raise InvalidRequest(
            f"{printable(entry.name)} could not be read to its end: {error.strerror}",
            hint="Try again, or leave the file out with .ciignore.",
        ) from error
