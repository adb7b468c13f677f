"""A project's zip, open for reading."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from ci_common.errors import InvalidArchive
from ci_common.project_zip.content import HEADER_BYTES, overlapping, read_content
from ci_common.project_zip.directory import Entry, EntryKind, read_directory
from ci_common.project_zip.end_record import locate_directory
from ci_common.project_zip.limits import ZipLimits
from ci_common.project_zip.names import quoted
from ci_common.project_zip.tree import MAX_TARGET_BYTES, Tree


class ProjectFiles(Protocol):
    """A project's files, open for reading, however they are kept."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Everything, in the order in which it is best read."""
        ...

    @property
    def paths(self) -> Sequence[str]:
        """The paths of files and links."""
        ...

    @property
    def tree(self) -> Tree:
        """What the entries make together."""
        ...

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of one of ``entries``. Raises ``InvalidArchive``, ``OSError``."""
        ...


class Archive:
    """The entries of a zip in the order they lie in the file, and the tree they make.

    Opening reads the table of contents and the targets of symbolic links, and
    holds them in memory; contents are read when asked for, piece by piece. The
    file is the caller's: it must be seekable and is used from one thread.

    Raises:
        InvalidArchive: the zip breaks a rule. What an entry's bytes are worth
            shows only once its ``content`` is read to the end.

    """

    def __init__(self, file: BinaryIO, limits: ZipLimits) -> None:
        self._file = file
        self.file_size = file.seek(0, 2)
        place = locate_directory(file, self.file_size, limits)
        entries = read_directory(file, place)
        self.tree = Tree(limits)
        for entry in entries:
            self.tree.add(entry)
        self.paths = tuple(e.path for e in entries if e.kind is not EntryKind.FOLDER)
        """Files and links, in the order of the table of contents."""
        self.entries = sorted(entries, key=_offset)
        self._ends = _spans(self.entries, place.offset)
        self._read_links()

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's content in pieces of at most 256 KiB.

        Raises:
            InvalidArchive: damaged, or not what the table of contents says.

        """
        return read_content(self._file, entry, limit=self._ends[entry.offset])

    def _read_links(self) -> None:
        links = [entry for entry in self.entries if entry.kind is EntryKind.LINK]
        for link in links:
            if link.size > MAX_TARGET_BYTES:
                raise InvalidArchive(
                    f"the target of the symbolic link {quoted(link.path)} is {link.size} bytes"
                    f" long; the most is {MAX_TARGET_BYTES}"
                )
            self.tree.add_target(link, b"".join(self.content(link)))
        for link in links:
            self.tree.resolve(link)


def _offset(entry: Entry) -> int:
    return entry.offset


def _spans(entries: list[Entry], directory_offset: int) -> dict[int, int]:
    """Return where each entry must have ended, by the offset where it begins.

    Every byte of the file belongs to one entry at most, so that no zip unpacks
    to more than its own bytes can hold.
    """
    if entries[0].offset:
        raise InvalidArchive(
            f"{entries[0].offset} bytes lie before the first entry of the zip",
            hint="Make the zip again and send it again.",
        )
    ends: dict[int, int] = {}
    limit = directory_offset
    for entry in reversed(entries):
        if entry.offset + HEADER_BYTES + len(entry.raw_name) + entry.packed > limit:
            raise overlapping(entry)
        ends[entry.offset] = limit
        limit = entry.offset
    return ends
