"""A manifest: the files of a project by path, mode and hash, without their contents.

As a client sends it, JSON, perhaps gzipped::

    {"files": [["src/a.py", "644", 1760000000, 1234, "9f86d081…"], …],
     "links": [["current", 1760000000, "releases/7"], …]}

A file is path, permissions in octal, time (seconds since 1970), size in bytes
and SHA-256 in hex; a link is path, time and target. Everything that a zip is
refused for, a manifest is refused for, by the same rules.
"""

import hashlib
import re
import zlib
from collections.abc import Sequence
from operator import itemgetter

import msgspec

from ci_common.errors import InvalidArchive, InvalidRequest
from ci_common.project_zip import Entry, EntryKind, ZipLimits
from ci_common.project_zip.directory import EARLIEST, STORED, permissions
from ci_common.project_zip.end_record import too_many_files
from ci_common.project_zip.fingerprint import tree_sha256
from ci_common.project_zip.names import clean_path, quoted
from ci_common.project_zip.tree import MAX_TARGET_BYTES, Tree

HASH_BYTES = 32

_LATEST = 4_354_819_198
"""2107-12-31 23:59:58 in UTC: the last moment that a zip knows."""

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_MODE = re.compile("[0-7]{3,4}")
_BY_PATH = itemgetter(0)


class FileRow(msgspec.Struct, array_like=True, gc=False):
    """A file as the manifest has it; nothing of it is checked."""

    path: str
    mode: str
    modified: int
    size: int
    sha256: str


class LinkRow(msgspec.Struct, array_like=True, gc=False):
    """A symbolic link as the manifest has it; nothing of it is checked."""

    path: str
    modified: int
    target: str


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    files: list[FileRow]
    links: list[LinkRow] = []


_decoder = msgspec.json.Decoder(_Document)


class Manifest:
    """A manifest that passed every check that does not need the contents.

    ``raw`` is the JSON, ``files`` its rows in its order, ``hashes`` their
    hashes in the same order, ``row_of`` the number of a file's row by its path.
    ``entries`` are files and links by path, with the
    fields of a zip's entries that say where the bytes are left empty; ``tree``
    is what they make together.

    Raises:
        InvalidRequest: no manifest.
        InvalidArchive: one that breaks a rule; the text says which, and where.

    """

    def __init__(self, raw: bytes, limits: ZipLimits) -> None:
        self.raw = raw
        document = _decoded(raw)
        self.files: Sequence[FileRow] = document.files
        if len(document.files) + len(document.links) > limits.max_files:
            raise too_many_files(limits)
        _check_amount(document.files, limits)
        self.hashes = _hashes(document.files)
        files, links = _file_entries(document.files), [*map(_link_entry, document.links)]
        # The order of a zip that `ci` makes, whatever the order of the rows.
        self.entries: Sequence[Entry] = sorted([*files, *links], key=_BY_PATH)
        self.tree = Tree(limits)
        for entry in self.entries:
            self.tree.add(entry)
        _add_links(self.tree, links, document.links)
        self.row_of = {entry.path: number for number, entry in enumerate(files)}

    @property
    def sha256(self) -> str:
        """The hex digest of the JSON."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def tree_sha256(self) -> str:
        """What tells its files from others, whichever way they came, as hex digits."""
        hashes = {path: self.hashes[row] for path, row in self.row_of.items()}
        return tree_sha256(self.entries, hashes, self.tree.targets)


def unpacked(data: bytes, limits: ZipLimits) -> bytes:
    """Return the JSON of a manifest that may be gzipped.

    Raises:
        InvalidRequest: damaged, or larger than ``max_directory_bytes`` allows.

    """
    if data.startswith(_GZIP):
        data = _inflated(data, limits.max_directory_bytes + 1)
    if len(data) > limits.max_directory_bytes:
        raise InvalidRequest(
            f"the manifest is more than {limits.max_directory_bytes} bytes long",
            hint="Leave out what the tests do not need.",
        )
    return data


def _inflated(data: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = inflater.decompress(data, most)
    except zlib.error:
        raise _no_manifest("it cannot be inflated") from None
    if len(text) < most and (not inflater.eof or inflater.unused_data):
        raise _no_manifest("its compressed form is cut off, or goes on")
    return text


def _decoded(raw: bytes) -> _Document:
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_manifest(str(error)) from None


def _no_manifest(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"the field manifest is not a manifest: {why}",
        hint="docs/http-api.md says how one is written; a zip is always accepted.",
    )


def _check_amount(files: Sequence[FileRow], limits: ZipLimits) -> None:
    if not files:
        raise InvalidArchive("the manifest names no files", hint="Send the project's files.")
    if min(row.size for row in files) < 0:
        raise InvalidArchive("the manifest names a file of less than 0 bytes")
    if sum(row.size for row in files) > limits.max_unpacked_bytes:
        raise too_large(limits.max_unpacked_bytes, "the most this server takes")


def too_large(allowance: int, why: str) -> InvalidArchive:
    """Return the refusal of a manifest whose files are more than ``allowance`` bytes."""
    return InvalidArchive(
        f"the files of the manifest are more than {allowance} bytes, {why}",
        hint="Leave out large or generated files that the tests do not need.",
    )


def _hashes(files: Sequence[FileRow]) -> Sequence[bytes]:
    # All at once: ten times faster than one by one. What fromhex overlooks, spaces, makes it short.
    try:
        joined = bytes.fromhex("".join([row.sha256 for row in files]))
    except ValueError:
        joined = b""
    whole = all(len(row.sha256) == 2 * HASH_BYTES for row in files)
    if not whole or len(joined) != HASH_BYTES * len(files):
        raise InvalidArchive("the manifest holds a hash that is not 64 hexadecimal digits")
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def _file_entries(files: Sequence[FileRow]) -> list[Entry]:
    modes = {text: _mode(text) for text in {row.mode for row in files}}
    return [
        Entry(
            _path(row.path), EntryKind.FILE, modes[row.mode], _moment(row.modified), STORED,
            0, 0, row.size, 0, b"",
        )
        for row in files
    ]  # fmt: skip


def _mode(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise InvalidArchive(f"{quoted(text)} in the manifest is no mode; write 644 or 755")
    return permissions(EntryKind.FILE, int(text, 8))


def _path(name: str) -> str:
    if name.endswith("/"):
        raise InvalidArchive(f"{quoted(name)} in the manifest is a folder by its name")
    return clean_path(name)


def _moment(modified: int) -> int:
    # As coarse as in a zip: the way a project is sent must not show in the job.
    return min(max(modified & ~1, EARLIEST), _LATEST)


def _link_entry(row: LinkRow) -> Entry:
    size = len(row.target.encode())
    if size > MAX_TARGET_BYTES:
        raise InvalidArchive(
            f"the target of the symbolic link {quoted(row.path)} is {size} bytes long;"
            f" the most is {MAX_TARGET_BYTES}"
        )
    return Entry(
        _path(row.path), EntryKind.LINK, 0o755, _moment(row.modified), STORED, 0, 0, size, 0, b""
    )


def _add_links(tree: Tree, links: Sequence[Entry], rows: Sequence[LinkRow]) -> None:
    for link, row in zip(links, rows, strict=True):
        tree.add_target(link, row.target.encode())
    for link in links:
        tree.resolve(link)
