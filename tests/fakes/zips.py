"""Zips byte by byte, also such as no honest tool makes."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
DOS_NOON = (12 << 11, (2025 - 1980) << 9 | 6 << 5 | 1)
"""Time and date of 2025-06-01 12:00:00."""


@dataclass(kw_only=True)
class Member:
    """An entry. What is None is as an honest tool would write it."""

    name: bytes
    content: bytes = b""
    mode: int = stat.S_IFREG | 0o644
    method: int = DEFLATED
    flags: int = 0
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    disk: int = 0
    extra: bytes = b""
    when: tuple[int, int] = DOS_NOON
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_extra: bytes = b""
    local_magic: bytes = b"PK\x03\x04"
    central_magic: bytes = b"PK\x01\x02"
    after: bytes = b""
    """Between this entry and the next part."""

    def payload(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if self.method != DEFLATED:
            return self.content
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflater.compress(self.content) + deflater.flush()

    def described(self) -> tuple[int, int, int]:
        """CRC, packed size and size as the headers have them."""
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        packed_size = len(self.payload()) if self.packed_size is None else self.packed_size
        return crc, packed_size, len(self.content) if self.size is None else self.size

    def local(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        header = struct.pack(
            "<4s5H3L2H",
            self.local_magic,
            20,
            self.flags if self.local_flags is None else self.local_flags,
            self.method if self.local_method is None else self.local_method,
            *self.when,
            *self.described(),
            len(name),
            len(self.local_extra),
        )
        return header + name + self.local_extra + self.payload() + self.after

    def central(self, offset: int) -> bytes:
        header = struct.pack(
            "<4s6H3L5H2L",
            self.central_magic,
            3 << 8 | 20,
            20,
            self.flags,
            self.method,
            *self.when,
            *self.described(),
            len(self.name),
            len(self.extra),
            0,
            self.disk,
            0,
            self.mode << 16,
            offset if self.offset is None else self.offset,
        )
        return header + self.name + self.extra


def file(name: str, content: bytes = b"x = 1\n", mode: int = 0o644) -> Member:
    return Member(name=name.encode(), content=content, mode=stat.S_IFREG | mode)


def folder(name: str, mode: int = 0o755) -> Member:
    return Member(name=f"{name}/".encode(), mode=stat.S_IFDIR | mode, method=STORED)


def link(name: str, target: str | bytes) -> Member:
    content = target if isinstance(target, bytes) else target.encode()
    return Member(name=name.encode(), content=content, mode=stat.S_IFLNK | 0o777)


def end_record(
    count: int,
    size: int,
    offset: int,
    *,
    comment: bytes = b"",
    disk: int = 0,
    here: int | None = None,
) -> bytes:
    here = count if here is None else here
    return (
        struct.pack("<4s4H2LH", b"PK\x05\x06", disk, disk, here, count, size, offset, len(comment))
        + comment
    )


def zip64_end(
    count: int, size: int, offset: int, *, at: int, disks: int = 1, length: int = 44
) -> bytes:
    """The zip64 record, to stand at ``at``, with its locator."""
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", length, 45, 45, 0, 0, count, count, size, offset
    )
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, disks)


def parts_of(*members: Member) -> tuple[bytes, bytes]:
    """The entries and their table of contents."""
    body = table = b""
    for member in members:
        table += member.central(len(body))
        body += member.local()
    return body, table


def build(*members: Member, comment: bytes = b"", count: int | None = None) -> bytes:
    """A whole zip; ``count`` is what the end record says."""
    body, table = parts_of(*members)
    said = len(members) if count is None else count
    return body + table + end_record(said, len(table), len(body), comment=comment)


def honest_zip(files: Mapping[str, bytes]) -> bytes:
    """A zip as Python's own library writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def overlapping_bomb(size: int, copies: int) -> bytes:
    """A zip whose entries all share the bytes of one: far smaller than what it claims to hold.

    Each entry begins with a stored deflate block that quotes the local headers
    of those after it, and ends in the same compressed kernel.
    """
    kernel = Member(name=b"kernel", content=bytes(size))
    members, content, body = [kernel], kernel.content, kernel.local()
    for number in range(1, copies):
        header = body[: 30 + len(members[-1].name)]
        block = struct.pack("<BHH", 0, len(header), 0xFFFF ^ len(header))
        content = header + content
        member = Member(name=b"%06d" % number, content=content, packed=block + body)
        members.append(member)
        body = member.local()
    table = b"".join(member.central(len(body) - len(member.local())) for member in members)
    return body + table + end_record(len(members), len(table), len(body))


def _small_zips() -> list[bytes]:
    """Valid zips that consist of little but headers, so that a random byte hits one."""
    body, table = parts_of(file("a"))
    at = len(body) + len(table)
    zip64 = zip64_end(1, len(table), len(body), at=at) + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    extra = b"\x01\x00\x08\x00" + (6).to_bytes(8, "little")
    return [
        build(file("a"), folder("d"), file("d/b", b""), link("l", "d/../a"), link("m", "l")),
        build(Member(name=b"a", content=b"x = 1\n", size=0xFFFFFFFF, extra=extra), comment=b"PK"),
        body + table + zip64,
    ]


SMALL_ZIPS = _small_zips()


def mutated(data: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """The data with some bytes overwritten."""
    changed = bytearray(data)
    for at, new in changes:
        changed[at % len(data) : at % len(data) + len(new)] = new
    return bytes(changed)
