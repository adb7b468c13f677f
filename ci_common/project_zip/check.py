"""The gate every uploaded project passes."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from ci_common.errors import InvalidArchive
from ci_common.project_zip.archive import Archive, ProjectFiles
from ci_common.project_zip.directory import Entry, EntryKind
from ci_common.project_zip.fingerprint import tree_sha256
from ci_common.project_zip.limits import UNLIMITED, ZipLimits

DEFAULT_LIMITS = ZipLimits()

ZipFile = BinaryIO | str | PathLike[str]
"""An open, seekable file, which stays open, or the path of one."""

Wanted = Callable[[Sequence[str]], Collection[str]]
"""Given the paths of all files and links, returns those whose content is wanted."""


@dataclass(frozen=True, slots=True)
class ZipSummary:
    """A zip that passed.

    ``names`` are the paths of its files and symbolic links in the order of the
    zip, ``files`` how many they are, ``unpacked_bytes`` what they inflate to,
    ``collected`` the contents that were asked for, ``tree_sha256`` what tells its
    files from others.
    """

    files: int
    unpacked_bytes: int
    names: tuple[str, ...]
    collected: dict[str, bytes] = field(default_factory=dict)
    tree_sha256: str = ""


def check_zip(
    file: ZipFile, limits: ZipLimits = DEFAULT_LIMITS, *, collect: Wanted | None = None
) -> ZipSummary:
    """Read a zip to its last byte and return what it holds.

    Inflates everything once, in pieces: memory grows with the number of
    entries, never with their size. Blocks for as long as that takes; call it in
    a thread.

    ``collect`` is called once with all names and returns those it wants, the
    most wanted first. Files within the limits for collecting are in
    ``collected``, whole; others are not. A symbolic link counts as the file it
    leads to.

    Raises:
        InvalidArchive: the zip is refused; the text says which rule, and where.
        OSError: the file cannot be read.

    """
    with _opened(file) as stream:
        archive = Archive(stream, limits)
        check_size(archive, limits)
        collector = _Collector(archive, limits, collect(archive.paths) if collect else ())
        unpacked, contents = 0, {}
        for entry in archive.entries:
            digest = hashlib.sha256()
            for piece in collector.passing(entry):
                unpacked += len(piece)
                digest.update(piece)
            contents[entry.path] = digest.digest()
        _check_files(archive)
        tree = tree_sha256(archive.entries, contents, archive.tree.targets)
        return ZipSummary(len(archive.paths), unpacked, archive.paths, collector.result(), tree)


def check_size(archive: Archive, limits: ZipLimits) -> None:
    """Refuse a zip that unpacks to too much. Raises ``InvalidArchive``.

    This bounds the real bytes too: inflating stops where an entry exceeds what it declares.
    """
    if sum(entry.size for entry in archive.entries) > limits.allowance(archive.file_size):
        raise _too_large(archive, limits)


def read_files(file: ZipFile, names: Collection[str], *, max_bytes_each: int) -> dict[str, bytes]:
    """Return the contents of those of ``names`` that are files of at most ``max_bytes_each``.

    A symbolic link counts as the file it leads to.

    Raises:
        InvalidArchive: the zip is refused, or one of these files is damaged.
        OSError: the file cannot be read.

    """
    limits = replace(
        UNLIMITED,
        max_collected_file_bytes=max_bytes_each,
        max_collected_bytes=max_bytes_each * len(names),
    )
    with _opened(file) as stream:
        return collect_files(Archive(stream, limits), names, limits)


def collect_files(
    files: ProjectFiles, names: Collection[str], limits: ZipLimits
) -> dict[str, bytes]:
    """Return the contents of those of ``names`` that are files within the limits for collecting.

    A symbolic link counts as the file it leads to. The first names come first
    where there is no room for all.

    Raises:
        InvalidArchive: one of these files is damaged.
        OSError: it cannot be read.

    """
    collector = _Collector(files, limits, names)
    for entry in files.entries:
        if entry.path in collector.sources:
            for _ in collector.passing(entry):
                pass
    return collector.result()


class _Collector:
    """Keeps the content of wanted files as it passes by."""

    def __init__(self, archive: ProjectFiles, limits: ZipLimits, names: Iterable[str]) -> None:
        self._archive = archive
        self._named: dict[str, str] = {}
        self.sources: set[str] = set()
        self._kept: dict[str, bytes] = {}
        room = limits.max_collected_bytes
        entries = {entry.path: entry for entry in archive.entries} if names else {}
        for name in dict.fromkeys(names):
            source = archive.tree.file_behind(entries[name]) if name in entries else None
            if source is None or source.size > min(room, limits.max_collected_file_bytes):
                continue
            room -= source.size
            self._named[name] = source.path
            self.sources.add(source.path)

    def passing(self, entry: Entry) -> Iterator[bytes]:
        """Yield the entry's content."""
        pieces = self._archive.content(entry)
        if entry.path not in self.sources:
            return pieces
        content = b"".join(pieces)
        self._kept[entry.path] = content
        return iter((content,))

    def result(self) -> dict[str, bytes]:
        """Return the contents by the names they were wanted under."""
        return {name: self._kept[path] for name, path in self._named.items()}


@contextmanager
def _opened(file: ZipFile) -> Iterator[BinaryIO]:
    if isinstance(file, str | PathLike):
        with Path(file).open("rb") as stream:
            yield stream
    else:
        yield file


def _check_files(archive: Archive) -> None:
    if not any(entry.kind is EntryKind.FILE for entry in archive.entries):
        raise InvalidArchive(
            "the zip holds folders but no files", hint="Zip the project's folder with its files."
        )


def _too_large(archive: Archive, limits: ZipLimits) -> InvalidArchive:
    allowance = limits.allowance(archive.file_size)
    why = (
        f"more than {limits.max_ratio} times its size"
        if allowance < limits.max_unpacked_bytes
        else "the most this server takes"
    )
    return InvalidArchive(
        f"the zip unpacks to more than {allowance} bytes, {why}",
        hint="Leave out large or generated files that the tests do not need.",
    )
