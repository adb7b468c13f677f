"""The bytes of an entry, inflated piece by piece and proved against its description.

Layout by PKWARE's APPNOTE 6.3.10, section 4.3.7.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from ci_common.errors import InvalidArchive
from ci_common.project_zip.directory import STORED, Entry
from ci_common.project_zip.names import quoted

HEADER_BYTES = 30
"""A local header without name and extra field."""

PIECE_BYTES = 256 * 1024
"""Most bytes read, and most bytes inflated, at once."""

_HEADER = struct.Struct("<4s5H3L2H")
_MAGIC = b"PK\x03\x04"


def read_content(file: BinaryIO, entry: Entry, *, limit: int) -> Iterator[bytes]:
    """Yield the content in pieces; reaching the end without an error proves it whole.

    No more than one byte beyond the entry's ``size`` is ever inflated, and
    nothing at or past the offset ``limit`` is read as part of the entry.

    Raises:
        InvalidArchive: damaged, cut off, or not what the table of contents says.

    """
    _enter(file, entry, limit)
    pieces = _stored(file, entry) if entry.method == STORED else _inflated(file, entry)
    crc = size = 0
    for piece in pieces:
        size += len(piece)
        if size > entry.size:
            raise InvalidArchive(
                f"{quoted(entry.path)} unpacks to more than the {entry.size} bytes it declares"
            )
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        what = "checksum" if size == entry.size else "size"
        raise _damaged(entry, f"its {what} is not what the zip says")


def _enter(file: BinaryIO, entry: Entry, limit: int) -> None:
    """Go to the first byte of the content."""
    file.seek(entry.offset)
    header = file.read(HEADER_BYTES + len(entry.raw_name))
    if len(header) < HEADER_BYTES or header[:4] != _MAGIC:
        raise _damaged(entry, "it is not where the table of contents says")
    _, _, flags, method, *_, name_length, extra_length = _HEADER.unpack_from(header)
    if name_length != len(entry.raw_name) or header[HEADER_BYTES:] != entry.raw_name:
        raise InvalidArchive(
            f"{quoted(entry.path)} has another name in its own header",
            hint="Make the zip with another tool.",
        )
    if method != entry.method or flags & 1:
        raise _damaged(entry, "its header and the table of contents differ")
    if entry.offset + len(header) + extra_length + entry.packed > limit:
        raise overlapping(entry)
    if extra_length:
        file.seek(entry.offset + len(header) + extra_length)


def _stored(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    left = entry.packed
    while left:
        piece = file.read(min(left, PIECE_BYTES))
        if not piece:
            raise _damaged(entry, "it is cut off")
        left -= len(piece)
        yield piece


def _inflated(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left = entry.packed
    room = entry.size + 1  # the one byte more that gives a lie about the size away
    packed = b""
    while not inflater.eof:
        if not packed:
            packed = file.read(min(left, PIECE_BYTES))
            left -= len(packed)
        given = len(packed)
        try:
            piece = inflater.decompress(packed, min(room, PIECE_BYTES))
        except zlib.error:
            raise _damaged(entry, "it cannot be inflated") from None
        packed = inflater.unconsumed_tail
        if piece:
            room -= len(piece)
            yield piece
        elif len(packed) == given and not inflater.eof:
            raise _damaged(entry, "it is cut off")
    if left or inflater.unused_data:
        raise _damaged(entry, "bytes follow its end")


def overlapping(entry: Entry) -> InvalidArchive:
    """Return the refusal of an entry that shares bytes with another part of the zip."""
    return InvalidArchive(
        f"{quoted(entry.path)} overlaps another part of the zip",
        hint="Make the zip with another tool.",
    )


def _damaged(entry: Entry, why: str) -> InvalidArchive:
    return InvalidArchive(
        f"the zip is damaged: {quoted(entry.path)}: {why}",
        hint="Make the zip again and send it again.",
    )
