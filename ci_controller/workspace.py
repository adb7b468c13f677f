"""What a container is fed: a job's script, environment and project as one tar stream.

The tar is made on the fly from the stashed zip or tree; nothing is unpacked here.
Headers are GNU's, not pax: long names in GNU's form are read by every tar
that images come with (GNU, busybox, toybox, bsdtar).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ci_common.errors import ContainerFailed, InvalidArchive
from ci_common.executor import FED_MARKER
from ci_common.project_tree import open_project
from ci_common.project_zip import Entry, EntryKind, ProjectFiles

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


class ProjectTar:
    """A tar of ``job.sh``, ``env``, ``workspace/…`` and, last of all, ``FED_MARKER``.

    A ``SizedTar``. ``only`` is asked for the path that each file and link has
    inside the project: those it refuses are left out, and so are folders with
    nothing left in them. ``beside`` are further files by path, which go beside
    the workspace.

    Chunks are 256 to 512 KiB but the last, whatever the sizes of the files. Memory grows
    with the number of files, not with their size. Folders come before what is
    in them, also those that the zip only implies; their owner may always enter
    and write. Owner and group are 0. Times are those in the zip, but never
    later than the zip's own arrival: tar complains of files from the future.
    The same zip file gives the same bytes.

    Making one touches no file. Size and chunks are read from disk: ask for
    them in a worker thread, one at a time.
    """

    def __init__(
        self,
        zip_path: str | os.PathLike[str],
        script: bytes,
        environment: bytes | None = None,
        *,
        only: Callable[[str], bool] | None = None,
        beside: Mapping[str, bytes] | None = None,
    ) -> None:
        self._parts = partial(_parts, Path(zip_path), script, environment, only, beside or {})
        self._size = 0
        self._begun: Iterator[bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole tar, as the zip's table of contents has it.

        Raises:
            ContainerFailed: the zip is gone or cannot be read.

        """
        if not self._size:
            self._begun = self._begin()
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the tar.

        Raises:
            ContainerFailed: the zip is gone or cannot be read. The marker has not
                been yielded then, so what was sent so far runs nothing.

        """
        begun = self._begun or self._begin()
        self._begun = None
        yield from _chunked(begun)

    def _begin(self) -> Iterator[bytes]:
        # One reading serves size and chunks, so that the one is true of the other. The
        # zip is open as long as the generator is held, and nothing else holds that.
        parts = self._parts()
        self._size = int(next(parts))
        return parts


def _parts(
    zip_path: Path,
    script: bytes,
    environment: bytes | None,
    only: Callable[[str], bool] | None,
    beside: Mapping[str, bytes],
) -> Iterator[bytes]:
    """Yield how many bytes will follow, in digits, and then those in parts of any size."""
    with _opened(zip_path) as (archive, arrived):
        members = _Members(archive, arrived, only)
        before = _file("job.sh", script, mode=0o755, modified=arrived)
        if environment is not None:
            before += _file("env", environment, mode=0o600, modified=arrived)
        before += b"".join(_beside(beside, arrived))
        after = _file(FED_MARKER, b"", mode=0o644, modified=arrived) + _END_OF_ARCHIVE
        yield b"%d" % (len(before) + members.size() + len(after))
        yield before
        yield from members
    yield after


def _beside(files: Mapping[str, bytes], modified: int) -> Iterator[bytes]:
    folders = dict.fromkeys(folder for path in files for folder in reversed([*_above(path)]))
    for folder in folders:
        yield _header(f"{folder}/".encode(), _FOLDER, mode=0o755, size=0, modified=modified)
    for path, content in files.items():
        yield _file(path, content, mode=0o644, modified=modified)


@contextmanager
def _opened(zip_path: Path) -> Iterator[tuple[ProjectFiles, int]]:
    """Open a stashed project; give what is in it and when it came (seconds since 1970).

    Whatever is found wrong with it while it is open is a ``ContainerFailed``.
    """
    try:
        with open_project(zip_path) as opened:
            yield opened
    except InvalidArchive as error:
        raise _unreadable(error.detail) from error
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from error


def _unreadable(why: str) -> ContainerFailed:
    # Without the path: the user sees this, and it is a path of the server.
    return ContainerFailed(
        f"the job's stashed project cannot be read: {why}", hint="Submit it again."
    )


class _Members:
    """What of a project goes into the tar."""

    def __init__(
        self, archive: ProjectFiles, arrived: int, only: Callable[[str], bool] | None
    ) -> None:
        self._archive = archive
        self._arrived = arrived
        tree = archive.tree
        entries = [entry for entry in archive.entries if entry.kind is not EntryKind.FOLDER]
        folders = [(f"/{path}", folder.entry) for path, folder in tree.folders()]
        if only is not None:
            entries = [entry for entry in entries if only(entry.path)]
            above = {folder for entry in entries for folder in _above(f"/{entry.path}")}
            folders = [(path, entry) for path, entry in folders if path in above]
        self._entries = entries
        self._folders = [("", tree.root.entry), *folders]

    def size(self) -> int:
        """Return how many bytes iterating yields."""
        total = sum(_header_size(_folder_name(path)) for path, _ in self._folders)
        for entry in self._entries:
            total += _header_size(_name(entry), self._target(entry))
            if entry.kind is EntryKind.FILE:
                total += entry.size + -entry.size % _BLOCK
        return total

    def __iter__(self) -> Iterator[bytes]:
        """Yield folders, then files and links in the order they lie in the zip."""
        for path, folder in self._folders:
            yield self._folder(path, folder)
        for entry in self._entries:
            if entry.kind is EntryKind.LINK:
                yield self._header(entry, _LINK, mode=0o777, size=0)
            else:
                yield self._header(entry, _FILE, mode=entry.mode, size=entry.size)
                yield from self._archive.content(entry)
                yield bytes(-entry.size % _BLOCK)

    def _folder(self, path: str, entry: Entry | None) -> bytes:
        mode = entry.mode if entry else 0o755
        modified = min(entry.modified, self._arrived) if entry else self._arrived
        return _header(_folder_name(path), _FOLDER, mode=mode, size=0, modified=modified)

    def _header(self, entry: Entry, kind: bytes, *, mode: int, size: int) -> bytes:
        modified = min(entry.modified, self._arrived)
        target = self._target(entry)
        return _header(_name(entry), kind, mode=mode, size=size, modified=modified, target=target)

    def _target(self, entry: Entry) -> bytes:
        return self._archive.tree.targets[entry.path] if entry.kind is EntryKind.LINK else b""


def _above(path: str) -> Iterator[str]:
    """Yield the folders that a path is in, the nearest first, but not the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _name(entry: Entry) -> bytes:
    return f"{WORKSPACE}/{entry.path}".encode()


def _folder_name(path: str) -> bytes:
    return f"{WORKSPACE}{path}/".encode()


def _file(name: str, content: bytes, *, mode: int, modified: int) -> bytes:
    header = _header(name.encode(), _FILE, mode=mode, size=len(content), modified=modified)
    return header + content + bytes(-len(content) % _BLOCK)


def _header_size(name: bytes, target: bytes = b"") -> int:
    """Return how long ``_header`` is."""
    long = (len(text) for text in (target, name) if len(text) > _NAME_BYTES)
    return _BLOCK + sum(_BLOCK + size + 1 + -(size + 1) % _BLOCK for size in long)


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
