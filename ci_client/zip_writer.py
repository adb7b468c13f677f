"""Writing a zip from its beginning to its end, without going back (APPNOTE 6.3).

The standard library's ``zipfile`` takes longer to import than a small project
takes to be read, packed and sent.
"""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_WIDE_END = struct.Struct("<4sQ2H2L4Q")
_WIDE_END_PLACE = struct.Struct("<4sLQL")
_SIZES_FOLLOW_AND_NAME_IS_UTF8 = 0x0808
_STORED, _DEFLATED = 0, 8
_NARROW_VERSION, _WIDE_VERSION = 20, 45
_UNIX = 3 << 8
_MOST_ENTRIES = 0xFFFF
_LARGEST = 0xFFFFFFFF
_WIDE_FROM = 0xF0000000
"""Bytes from which sizes get 64 bits, as what cannot be packed grows a little."""


class ZipWriter:
    """Gives the pieces of a zip, entry by entry; before those of ``finish`` it is none.

    Each iterator must be used up before the next is asked for. ``level`` is zlib's.
    """

    def __init__(self, *, level: int) -> None:
        self._level = level
        self._position = 0
        self._directory: list[bytes] = []

    def add(
        self,
        name: str,
        content: Iterable[bytes],
        *,
        mode: int,
        moment: tuple[int, ...],
        size: int,
        pack: bool,
    ) -> Iterator[bytes]:
        """Yield an entry whose ``content`` has at most ``size`` bytes.

        ``mode`` is that of Unix, kind of file included; ``moment`` year to second.
        """
        start, encoded, wide = self._position, name.encode(), size >= _WIDE_FROM
        version = _WIDE_VERSION if wide else _NARROW_VERSION
        method = _DEFLATED if pack else _STORED
        about = (_SIZES_FOLLOW_AND_NAME_IS_UTF8, method, *_dos_time(moment))
        room = struct.pack("<2H2Q", 1, 16, 0, 0) if wide else b""
        unknown = _LARGEST if wide else 0
        lengths = (len(encoded), len(room))
        header = _LOCAL.pack(b"PK\3\4", version, *about, 0, unknown, unknown, *lengths)
        yield self._counted(header + encoded + room)
        crc, packed, unpacked = yield from self._content(content, pack=pack)
        sizes_follow = "<4sL2Q" if wide else "<4s3L"
        yield self._counted(struct.pack(sizes_follow, b"PK\7\10", crc, packed, unpacked))
        wide = wide or start >= _LARGEST
        extra = struct.pack("<2H3Q", 1, 24, unpacked, packed, start) if wide else b""
        sizes = (_LARGEST, _LARGEST) if wide else (packed, unpacked)
        self._directory.append(
            _CENTRAL.pack(
                *(b"PK\1\2", _UNIX | version, _WIDE_VERSION if wide else version, *about),
                *(crc, *sizes, len(encoded), len(extra), 0, 0, 0),
                *(mode << 16, _LARGEST if wide else start),
            )
            + encoded
            + extra
        )

    def finish(self) -> Iterator[bytes]:
        """Yield the directory, which makes it a zip."""
        start, count = self._position, len(self._directory)
        yield self._counted(b"".join(self._directory))
        size, end = self._position - start, self._position
        if count >= _MOST_ENTRIES or end >= _WIDE_FROM:
            versions = (_UNIX | _WIDE_VERSION, _WIDE_VERSION)
            rest = _WIDE_END.size - 12
            yield _WIDE_END.pack(b"PK\6\6", rest, *versions, 0, 0, count, count, size, start)
            yield _WIDE_END_PLACE.pack(b"PK\6\7", 0, end, 1)
        shown = min(count, _MOST_ENTRIES)
        place = (min(size, _LARGEST), min(start, _LARGEST))
        yield _END.pack(b"PK\5\6", 0, 0, shown, shown, *place, 0)

    def _content(
        self, content: Iterable[bytes], *, pack: bool
    ) -> Generator[bytes, None, tuple[int, int, int]]:
        """Yield the content of an entry; return its checksum, its bytes written, and its size."""
        packer = zlib.compressobj(self._level, zlib.DEFLATED, -zlib.MAX_WBITS) if pack else None
        crc, size, start = 0, 0, self._position
        for piece in content:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            yield self._counted(packer.compress(piece) if packer else piece)
        if packer:
            yield self._counted(packer.flush())
        return crc, self._position - start, size

    def _counted(self, piece: bytes) -> bytes:
        self._position += len(piece)
        return piece


def _dos_time(moment: tuple[int, ...]) -> tuple[int, int]:
    year, month, day, hour, minute, second = moment
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
