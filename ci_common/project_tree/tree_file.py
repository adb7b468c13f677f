"""The stashed form of a project that was sent as a manifest: the manifest, and where the blobs lie.

``<job_id>.tree`` is small; the contents stay in the packs they came in. It is
read through the same interface as a zip, and the manifest by the same code
that checked it.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from ci_common.blobs import Place
from ci_common.errors import InvalidArchive, InvalidRequest
from ci_common.project_tree.manifest import Manifest
from ci_common.project_zip import UNLIMITED, Archive, Entry, EntryKind, ProjectFiles
from ci_common.project_zip.content import read_content

TREE_SUFFIX = ".tree"

_PACKS_KEPT_OPEN = 64


class _TreeFile(msgspec.Struct, array_like=True, frozen=True):
    """What is in the file. ``packs`` is the folder of the packs, seen from the file's own."""

    packs: str
    manifest: bytes
    places: list[Place]


def pack_name(pack: int) -> str:
    """Return the name of a pack's file."""
    return f"{pack:016x}.zip"


def encode_tree(manifest: Manifest, places: Sequence[Place], packs: str) -> bytes:
    """Return the content of a tree file; ``places`` are those of the manifest's rows."""
    return msgspec.msgpack.encode(_TreeFile(packs, manifest.raw, list(places)))


class TreeArchive:
    """The files of a manifest, with contents from packs (see ``ProjectFiles``).

    ``places`` are those of the manifest's rows. Close it when done: it keeps
    packs open.
    """

    def __init__(self, manifest: Manifest, places: Sequence[Place], folder: Path) -> None:
        self.entries = manifest.entries
        self.tree = manifest.tree
        self.paths = tuple(entry.path for entry in manifest.entries)
        self._manifest = manifest
        self._places = places
        self._folder = folder
        self._open: dict[int, BinaryIO] = {}

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's content in pieces of at most 256 KiB.

        Raises:
            InvalidArchive: a pack is damaged. It is gone then, so that what is
                submitted next brings its blobs again.
            OSError: a pack is gone or cannot be read.

        """
        if entry.kind is EntryKind.LINK:
            yield self.tree.targets[entry.path]
            return
        row = self._manifest.row_of[entry.path]
        place = self._places[row]
        stored = entry._replace(
            method=place.method,
            crc=place.crc,
            packed=place.packed,
            offset=place.offset,
            raw_name=self._manifest.hashes[row].hex().encode(),
        )
        try:
            # That blobs do not overlap was seen when the pack came in.
            yield from read_content(self._opened(place.pack), stored, limit=sys.maxsize)
        except InvalidArchive:
            (self._folder / pack_name(place.pack)).unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Close the packs."""
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, pack: int) -> BinaryIO:
        if pack not in self._open:
            if len(self._open) == _PACKS_KEPT_OPEN:
                self.close()
            self._open[pack] = (self._folder / pack_name(pack)).open("rb")
        return self._open[pack]


@contextmanager
def open_project(path: str | os.PathLike[str]) -> Iterator[tuple[ProjectFiles, int]]:
    """Open a stashed project, zip or tree; give its files and when it came (seconds since 1970).

    Raises:
        InvalidArchive: it is damaged.
        OSError: it is gone or cannot be read.

    """
    with ExitStack() as stack:
        file = stack.enter_context(Path(path).open("rb"))
        arrived = max(0, int(os.fstat(file.fileno()).st_mtime))
        if Path(path).suffix != TREE_SUFFIX:
            yield Archive(file, UNLIMITED), arrived
            return
        archive = _read_tree(file.read(), Path(path).parent)
        stack.callback(archive.close)
        yield archive, arrived


def _read_tree(data: bytes, folder: Path) -> TreeArchive:
    with suppress(msgspec.DecodeError, InvalidRequest):
        found = msgspec.msgpack.decode(data, type=_TreeFile)
        manifest = Manifest(found.manifest, UNLIMITED)
        if len(found.places) == len(manifest.files):
            return TreeArchive(manifest, found.places, folder / found.packs)
    raise InvalidArchive("the stashed tree of the job is damaged", hint="Submit it again.")
