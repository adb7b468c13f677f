"""What a container is fed: a job's script, environment and project as one tar stream.

The tar is made on the fly from the stashed zip; nothing is unpacked here.
Headers are GNU's, not pax: long names in GNU's form are read by every tar
that images come with (GNU, busybox, toybox, bsdtar).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ci_common.errors import ContainerFailed, InvalidArchive
from ci_common.executor import FED_MARKER
from ci_common.project_zip import UNLIMITED, Archive, Entry, EntryKind

WORKSPACE = "workspace"
"""The folder of the tar that the project is in."""

CHUNK_BYTES = 256 * 1024
"""Least size of a chunk but the last: each is one write to a socket."""

_BLOCK = 512
_NAME_BYTES = 100
_LARGEST_OCTAL = 8**11 - 1
_FILE, _LINK, _FOLDER, _LONG_LINK, _LONG_NAME = b"0", b"2", b"5", b"K", b"L"
_MAGIC = b"ustar  \0"
_END_OF_ARCHIVE = bytes(2 * _BLOCK)


def tar_project(
    zip_path: str | os.PathLike[str], script: bytes, environment: bytes | None = None
) -> Iterator[bytes]:
    """Yield a tar of ``job.sh``, ``env``, ``workspace/…`` and, last of all, ``FED_MARKER``.

    Chunks are 256 to 512 KiB but the last, whatever the sizes of the files. Memory grows
    with the number of files, not with their size. Folders come before what is
    in them, also those that the zip only implies; their owner may always enter
    and write. Owner and group are 0. Times are those in the zip, but never
    later than the zip's own arrival: tar complains of files from the future.
    The same zip file gives the same bytes.

    Raises:
        ContainerFailed: the zip is gone or cannot be read. The marker has not
            been yielded then, so what was sent so far runs nothing.

    """
    return _chunked(_tar(Path(zip_path), script, environment))


def _tar(zip_path: Path, script: bytes, environment: bytes | None) -> Iterator[bytes]:
    try:
        with zip_path.open("rb") as file:
            now = max(0, int(os.fstat(file.fileno()).st_mtime))
            yield from _file("job.sh", script, mode=0o755, modified=now)
            if environment is not None:
                yield from _file("env", environment, mode=0o600, modified=now)
            yield from _workspace(file, now)
    except InvalidArchive as error:
        raise _unreadable(error.detail) from error
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from error
    yield from _file(FED_MARKER, b"", mode=0o644, modified=now)
    yield _END_OF_ARCHIVE


def _unreadable(why: str) -> ContainerFailed:
    # Without the path: the user sees this, and it is a path of the server.
    return ContainerFailed(
        f"the job's stashed project cannot be read: {why}", hint="Submit it again."
    )


def _workspace(file: BinaryIO, now: int) -> Iterator[bytes]:
    archive = Archive(file, UNLIMITED)
    tree = archive.tree
    yield _folder(WORKSPACE, tree.root.entry, now)
    for path, folder in tree.folders():
        yield _folder(f"{WORKSPACE}/{path}", folder.entry, now)
    for entry in archive.entries:
        name = f"{WORKSPACE}/{entry.path}".encode()
        modified = min(entry.modified, now)
        if entry.kind is EntryKind.LINK:
            target = tree.targets[entry.path]
            yield _header(name, _LINK, mode=0o777, size=0, modified=modified, target=target)
        elif entry.kind is EntryKind.FILE:
            yield _header(name, _FILE, mode=entry.mode, size=entry.size, modified=modified)
            yield from archive.content(entry)
            yield bytes(-entry.size % _BLOCK)


def _folder(name: str, entry: Entry | None, now: int) -> bytes:
    mode = entry.mode if entry else 0o755
    modified = min(entry.modified, now) if entry else now
    return _header(f"{name}/".encode(), _FOLDER, mode=mode, size=0, modified=modified)


def _file(name: str, content: bytes, *, mode: int, modified: int) -> Iterator[bytes]:
    yield _header(name.encode(), _FILE, mode=mode, size=len(content), modified=modified)
    yield content
    yield bytes(-len(content) % _BLOCK)


def _header(
    name: bytes, kind: bytes, *, mode: int, size: int, modified: int, target: bytes = b""
) -> bytes:
    """Return a header block, after the blocks that hold a long name or target if there are any."""
    before = b""
    if len(target) > _NAME_BYTES:
        before += _long(_LONG_LINK, target)
    if len(name) > _NAME_BYTES:
        before += _long(_LONG_NAME, name)
    head = b"%b%07o\x000000000\x000000000\0%b%011o\0" % (
        name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0"),
        mode,
        _size_field(size),
        modified,
    )
    tail = kind + target[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0") + _MAGIC
    # The checksum is the sum of all bytes with its own field counted as eight spaces.
    checksum = sum(head) + sum(tail) + 8 * ord(" ")
    block = b"%b%06o\0 %b" % (head, checksum, tail)
    return before + block.ljust(_BLOCK, b"\0")


def _long(kind: bytes, text: bytes) -> bytes:
    size = len(text) + 1
    header = _header(b"././@LongLink", kind, mode=0o644, size=size, modified=0)
    return header + text + bytes(1 + -size % _BLOCK)


def _size_field(size: int) -> bytes:
    # Beyond 8 GiB GNU writes the number itself, marked by the first bit.
    if size > _LARGEST_OCTAL:
        return b"\x80" + size.to_bytes(11, "big")
    return b"%011o\0" % size


def _chunked(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts to chunks of at least ``CHUNK_BYTES``, and pass on what follows."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held.clear()
            size = 0
    if held:
        yield b"".join(held)
