"""A zip's table of contents, entry by entry.

Layout by PKWARE's APPNOTE 6.3.10, sections 4.3.12, 4.4 and 4.5.3.
"""

import stat
import struct
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from ci_common.errors import InvalidArchive
from ci_common.project_zip.end_record import DirectoryPlace
from ci_common.project_zip.names import clean_path, decode_name, quoted

STORED = 0
DEFLATED = 8

_HEADER = struct.Struct("<4s6H3L5H2L")
_MAGIC = b"PK\x01\x02"
_UNSET = 0xFFFFFFFF
_ZIP64_EXTRA = 0x0001
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_PATCH = 0x0020
_UTF8 = 0x0800
_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA",
    93: "zstd", 95: "xz", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip
_SPECIAL = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_DAY = 86_400
EARLIEST = 315_619_200
"""1980-01-02 in UTC, seconds since 1970: before it, a wheel cannot hold the file anywhere."""

_DAMAGED = "Make the zip again and send it again."


class EntryKind(Enum):
    """What unpacking an entry would make."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


class Entry(NamedTuple):
    """One entry as the table of contents describes it; nothing of it is proved by its bytes yet.

    ``path`` is clean (``""`` for the project's own folder), ``mode`` the
    permission bits to set, ``modified`` seconds since 1970 with the zip's local
    time taken as UTC, ``packed`` and ``size`` bytes before and after inflating,
    ``offset`` where its local header is.
    """

    path: str
    kind: EntryKind
    mode: int
    modified: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    raw_name: bytes


def read_directory(file: BinaryIO, place: DirectoryPlace) -> list[Entry]:
    """Return all entries in the order of the table.

    Raises:
        InvalidArchive: an entry breaks a rule, or the table is damaged.

    """
    file.seek(place.offset)
    table = file.read(place.size)
    entries: list[Entry] = []
    at = 0
    for _ in range(place.entries):
        entry, at = _read_entry(table, at)
        entries.append(entry)
    if at != len(table) or len(table) != place.size:
        raise _damaged()
    return entries


def _read_entry(table: bytes, at: int) -> tuple[Entry, int]:
    if len(table) - at < _HEADER.size:
        raise _damaged()
    (
        magic, _, _, flags, method, dos_time, dos_date, crc, packed, size,
        name_length, extra_length, comment_length, disk, _, attributes, offset,
    ) = _HEADER.unpack_from(table, at)  # fmt: skip
    name_end = at + _HEADER.size + name_length
    end = name_end + extra_length + comment_length
    if magic != _MAGIC or end > len(table):
        raise _damaged()
    raw_name = table[at + _HEADER.size : name_end]
    name = decode_name(raw_name, utf8=bool(flags & _UTF8))
    if _UNSET in (packed, size, offset) or disk == 0xFFFF:
        extra = table[name_end : name_end + extra_length]
        size, packed, offset, disk = _zip64_values(name, extra, (size, packed, offset, disk))
    if disk:
        raise InvalidArchive(f"{quoted(name)} lies in another part of a split zip")
    _check_readable(name, flags, method, packed, size)
    kind = _kind(name, attributes >> 16)
    if size and kind is EntryKind.FOLDER:
        raise InvalidArchive(f"{quoted(name)} is a folder, yet has content", hint=_DAMAGED)
    mode = permissions(kind, attributes >> 16)
    modified = _modified(dos_date, dos_time)
    path = clean_path(name)
    entry = Entry(path, kind, mode, modified, method, crc, packed, size, offset, raw_name)
    return entry, end


def _zip64_values(
    name: str, extra: bytes, values: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return size, packed, offset and disk with the unset ones taken from the extra field."""
    field = _extra_field(extra, _ZIP64_EXTRA)
    size, packed, offset, disk = values
    try:
        at = 0
        if size == _UNSET:
            (size,) = struct.unpack_from("<Q", field, at)
            at += 8
        if packed == _UNSET:
            (packed,) = struct.unpack_from("<Q", field, at)
            at += 8
        if offset == _UNSET:
            (offset,) = struct.unpack_from("<Q", field, at)
            at += 8
        if disk == 0xFFFF:
            (disk,) = struct.unpack_from("<L", field, at)
    except struct.error:
        raise InvalidArchive(
            f"the zip is damaged: the zip64 sizes of {quoted(name)} are missing", hint=_DAMAGED
        ) from None
    return size, packed, offset, disk


def _extra_field(extra: bytes, wanted: int) -> bytes:
    """Return the first extra field of that kind, empty if there is none."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _check_readable(name: str, flags: int, method: int, packed: int, size: int) -> None:
    if flags & _ENCRYPTED:
        raise InvalidArchive(
            f"{quoted(name)} is encrypted", hint="Make the zip without a password."
        )
    if method not in {STORED, DEFLATED} or flags & _PATCH:
        called = _METHODS.get(method, f"number {method}")
        raise InvalidArchive(
            f"{quoted(name)} is compressed by a method this server does not read ({called})",
            hint="Use the usual method of zip tools, deflate.",
        )
    if method == STORED and packed != size:
        raise InvalidArchive(
            f"the zip is damaged: {quoted(name)} is stored as it is, yet has two sizes",
            hint=_DAMAGED,
        )


def _kind(name: str, unix_mode: int) -> EntryKind:
    kind = stat.S_IFMT(unix_mode)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise InvalidArchive(
            f"{quoted(name)} is {_SPECIAL.get(kind, 'of an unknown kind')}",
            hint="A project holds files, folders and symbolic links only.",
        )
    is_folder = name.endswith("/")
    if kind and is_folder is not (kind == stat.S_IFDIR):
        by_name, by_mode = ("a folder", "not one") if is_folder else ("no folder", "one")
        raise InvalidArchive(
            f"{quoted(name)} is {by_name} by its name and {by_mode} by its mode",
            hint="Make the zip with another tool.",
        )
    if is_folder:
        return EntryKind.FOLDER
    return EntryKind.LINK if kind == stat.S_IFLNK else EntryKind.FILE


def permissions(kind: EntryKind, unix_mode: int) -> int:
    """Return the permission bits to set; ``unix_mode`` 0 says nothing of them."""
    # Zips from Windows say nothing of permissions.
    if kind is EntryKind.FOLDER:
        return (unix_mode & 0o755 or 0o755) | 0o700
    return unix_mode & 0o755 or 0o644


@lru_cache(maxsize=4096)
def _midnight(dos_date: int) -> int:
    """Return the seconds since 1970 at the start of a day; 0 if there is no such day."""
    try:
        day = date(1980 + (dos_date >> 9), dos_date >> 5 & 15, dos_date & 31)
    except ValueError:
        return 0
    return (day - date(1970, 1, 1)).days * _DAY


def _modified(dos_date: int, dos_time: int) -> int:
    """Return a DOS date and time as seconds since 1970, read as UTC; never before 1980-01-02."""
    seconds = (dos_time >> 11) * 3600 + (dos_time >> 5 & 63) * 60 + (dos_time & 31) * 2
    return max(EARLIEST, _midnight(dos_date) + seconds % _DAY)


def _damaged() -> InvalidArchive:
    return InvalidArchive("the zip is damaged: its table of contents is broken", hint=_DAMAGED)
