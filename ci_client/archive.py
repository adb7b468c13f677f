"""The zip of a project. The same files give the same bytes."""

import io
import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ci_client.files import Entry, Selection
from ci_client.terminal import printable
from ci_common.errors import InvalidRequest

_IN_MEMORY = 8 * 1024 * 1024
_CHUNK = 256 * 1024
# The zip lives for one upload: level 1 packs several times faster than the default for a
# few percent more bytes.
_LEVEL = 1
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_LATEST = (2107, 12, 31, 23, 59, 58)
_PACKED = (".7z", ".bz2", ".gz", ".jpeg", ".jpg", ".mp4", ".png", ".whl", ".xz", ".zip", ".zst")

Report = Callable[[str], None]


def pack(selection: Selection, *, warn: Report, progress: Report | None = None) -> IO[bytes]:
    """Return the zip as an open file, at its start; closing it leaves nothing behind.

    ``progress`` is told each name; ``warn`` what vanished or cannot be read.

    Raises:
        InvalidRequest: nothing could be read, or a file broke off in the middle.

    """
    target = _room_for(selection.size)
    try:
        _write(selection, target, warn, progress)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def _room_for(size: int) -> IO[bytes]:
    if size <= _IN_MEMORY:
        return io.BytesIO()
    from tempfile import TemporaryFile

    return TemporaryFile(suffix=".zip")


def _write(selection: Selection, target: IO[bytes], warn: Report, progress: Report | None) -> None:
    written = 0
    with zipfile.ZipFile(target, "w") as archive:
        for entry in selection.entries:
            if progress:
                progress(entry.name)
            try:
                _add(archive, selection.root, entry)
                written += 1
            except _Unreadable as error:
                warn(f"{printable(entry.name)} is left out: {error}")
    if not written:
        raise InvalidRequest(f"{selection.root} has no file that can be read")


class _Unreadable(Exception):
    """A file cannot be opened any more; nothing of it is in the zip."""


def _add(archive: zipfile.ZipFile, root: Path, entry: Entry) -> None:
    info = _info(entry)
    if entry.link is not None:
        archive.writestr(info, os.fsencode(entry.link))
        return
    with _opened(root, entry.name) as source, archive.open(info, "w") as sink:
        try:
            for data in _read(source, entry.size):
                sink.write(data)
        except OSError as error:
            raise InvalidRequest(
                f"{printable(entry.name)} could not be read to its end: {error.strerror}",
                hint="Try again, or leave the file out with .ciignore.",
            ) from error


def _info(entry: Entry) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(entry.name, _date_time(entry.mtime))
    info.create_system = 3  # Unix: the upper half of external_attr is the mode
    kind = stat.S_IFLNK | 0o777 if entry.link is not None else stat.S_IFREG | _mode(entry)
    info.external_attr = kind << 16
    info.file_size = entry.size  # lets zipfile choose the 64-bit form for the very large
    if entry.size and not entry.name.lower().endswith(_PACKED):
        info.compress_type = zipfile.ZIP_DEFLATED
        info._compresslevel = _LEVEL  # type: ignore[attr-defined] # noqa: SLF001 -- public from 3.13 on
    return info


def _mode(entry: Entry) -> int:
    # As git keeps it: whether a file can be run, not what the submitter's umask was.
    return 0o755 if entry.executable else 0o644


def _date_time(mtime: float) -> tuple[int, int, int, int, int, int]:
    # UTC, so that the zip does not depend on where it was made. Zip knows 1980 to 2107.
    try:
        moment = time.gmtime(mtime)[:6]
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    return min(max(moment, _EARLIEST), _LATEST)


def _opened(root: Path, name: str) -> IO[bytes]:
    """Open a file that may by now have been replaced by anything.

    Raises:
        _Unreadable: it is gone, not ours to read, or no plain file any more.

    """
    try:
        descriptor = os.open(f"{root}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _Unreadable("it is no plain file any more")
    return os.fdopen(descriptor, "rb", buffering=0)


def _read(source: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield at most ``size`` bytes: a log that grows while it is read must not hold us up."""
    while size > 0 and (data := source.read(min(size, _CHUNK))):
        size -= len(data)
        yield data
