"""The manifest of a selection: what is in each file, read again only where it may have changed."""

from __future__ import annotations

import time
import zlib
from array import array

from ci_client.archive import Unreadable, opened
from ci_client.terminal import printable
from ci_client.tree_cache import TreeCache
from ci_common.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ci_client.files import Entry, Selection

    Report = Callable[[str], None]

_STAMP_BYTES = 32
_UNKNOWN = (0, 0, 0, 0)
_RACY = 2 * 10**9
"""Nanoseconds: what changed so shortly before it was read may change again and look the same."""
_GZIP = 31
_LEVEL = 1
_BEGINNING, _BETWEEN, _LINKS, _END = '{"files":[\n', ",\n", '\n],"links":[', "]}"
_HASH = slice(-66, -2)
"""Where a file's row has its hash."""


class Manifest:
    """What is sent about ``files``; ``gzipped`` as it goes out.

    ``unsent`` are the numbers of the rows whose content the server is not
    known to have. ``cache`` is what to remember once the server has it all,
    None if that is remembered already.
    """

    def __init__(
        self,
        files: Sequence[Entry],
        gzipped: bytes,
        *,
        rows: Sequence[str] = (),
        unsent: Sequence[int] = (),
        cache: TreeCache | None = None,
    ) -> None:
        self.files = files
        self.gzipped = gzipped
        self.unsent = unsent
        self.cache = cache
        self._rows = rows

    def sha256(self, row: int) -> str:
        """Return the hash in a row, in hex."""
        self._rows = self._rows or rows_of(self.gzipped)
        return self._rows[row][_HASH]

    def size(self, rows: Iterable[int]) -> int:
        """Return how many bytes the files of these rows have."""
        return sum(self.files[row].size for row in rows)


def manifest_of(
    selection: Selection, cache: TreeCache, *, warn: Report, progress: Report
) -> Manifest:
    """Return the manifest of what is selected, with what ``cache`` remembers.

    ``progress`` is told the name of each file that is read, ``warn`` what
    vanished or cannot be read.

    Raises:
        InvalidRequest: nothing could be read, or a file broke off in the middle.

    """
    began = time.time_ns()
    files = [entry for entry in selection.entries if entry.link is None]
    links = _BETWEEN.join(_link_row(entry) for entry in selection.entries if entry.link is not None)
    seen = (_names(files), links.encode(), pack_stamps(entry.stamp for entry in files))
    if seen == (cache.names, cache.links, cache.stamps):
        return Manifest(files, cache.manifest)
    return _Reading(selection, cache, warn, progress).manifest(files, links, began)


def rows_of(gzipped: bytes) -> list[str]:
    """Return the rows of files in a manifest that this client wrote."""
    text = zlib.decompress(gzipped, _GZIP).decode()
    rows = text[len(_BEGINNING) : text.rindex(_LINKS)]
    return rows.split(_BETWEEN) if rows else []


def pack_stamps(stamps: Iterable[tuple[int, int, int, int]]) -> bytes:
    """Return stamps one after the other, 32 bytes each."""
    return array("q", [number for stamp in stamps for number in stamp]).tobytes()


class _Reading:
    """Makes the rows of files, and reads what the cache does not know as it is now."""

    def __init__(
        self, selection: Selection, cache: TreeCache, warn: Report, progress: Report
    ) -> None:
        self._selection = selection
        self._cache = cache
        self._warn = warn
        self._progress = progress
        rows = rows_of(cache.manifest) if cache.manifest else []
        self._sent = {row[_HASH] for row in rows}
        self._known = _known(cache, rows)

    def manifest(self, files: Sequence[Entry], links: str, began: int) -> Manifest:
        """Return the manifest, and the cache of it; files that cannot be read are left out."""
        rows, kept = [], []
        for entry in files:
            row = self._row(entry)
            if row:
                rows.append(row)
                kept.append(entry)
        if not rows and not links:
            raise InvalidRequest(f"{self._selection.root} has no file that can be read")
        text = f"{_BEGINNING}{_BETWEEN.join(rows)}{_LINKS}{links}{_END}"
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        gzipped = packer.compress(text.encode()) + packer.flush()
        cache = TreeCache(
            self._cache.scope,
            names=_names(kept),
            stamps=pack_stamps(_trusted(entry, began) for entry in kept),
            links=links.encode(),
            manifest=gzipped,
        )
        unsent = [number for number, row in enumerate(rows) if row[_HASH] not in self._sent]
        return Manifest(kept, gzipped, rows=rows, unsent=unsent, cache=cache)

    def _row(self, entry: Entry) -> str | None:
        known = self._known.get(entry.name)
        if known and known[0] == pack_stamps([entry.stamp]):
            return known[1]
        self._progress(entry.name)
        try:
            return _read_row(self._selection.root, entry)
        except Unreadable as error:
            self._warn(f"{printable(entry.name)} is left out: {error}")
            return None


def _known(cache: TreeCache, rows: Sequence[str]) -> Mapping[str, tuple[bytes, str]]:
    """Return stamp and row of each file that the cache knows."""
    names = cache.names.decode().split("\0")[:-1]
    stamps = cache.stamps
    cut = (stamps[at : at + _STAMP_BYTES] for at in range(0, len(stamps), _STAMP_BYTES))
    return dict(zip(names, zip(cut, rows, strict=False), strict=False))


def _names(files: Iterable[Entry]) -> bytes:
    return "".join([f"{entry.name}\0" for entry in files]).encode()


def _trusted(entry: Entry, began: int) -> tuple[int, int, int, int]:
    # As git does: the clock of a file system is coarse, and a second change could share the
    # time of the first. The time of status cannot be set back by anybody.
    return entry.stamp if entry.stamp[2] < began - _RACY else _UNKNOWN


def _read_row(root: str, entry: Entry) -> str:
    import hashlib

    digest, size = hashlib.sha256(), 0
    with opened(root, entry) as content:
        for piece in content:
            digest.update(piece)
            size += len(piece)
    mode = "755" if entry.executable else "644"
    modified = entry.stamp[1] // 10**9
    return f'[{_quoted(entry.name)},"{mode}",{modified},{size},"{digest.hexdigest()}"]'


def _link_row(entry: Entry) -> str:
    return f"[{_quoted(entry.name)},{int(entry.mtime)},{_quoted(entry.link or '')}]"


def _quoted(text: str) -> str:
    import json  # what did not change is not quoted again

    return json.dumps(text)
