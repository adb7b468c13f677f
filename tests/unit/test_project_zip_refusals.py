"""Every reason to refuse a zip, each with its own words."""

import io
import stat

import pytest

from ci_common.errors import InvalidArchive
from ci_common.project_zip import check_zip
from tests.fakes.zips import (
    STORED,
    Member,
    build,
    end_record,
    file,
    folder,
    honest_zip,
    link,
    overlapping_bomb,
    parts_of,
    zip64_end,
)

HONEST = honest_zip({"a.py": b"print(1)\n" * 50, "tests/test_a.py": b"def test(): pass\n"})


def named(*names: str) -> bytes:
    return build(*(file(name) for name in names))


def special(kind: int) -> bytes:
    return build(Member(name=b"odd", mode=kind | 0o644))


def zip64(count: int = 1, *, disks: int = 1, length: int = 44, said: int = 0xFFFF) -> bytes:
    body, table = parts_of(file("a"))
    at = len(body) + len(table)
    record = zip64_end(count, len(table), len(body), at=at, disks=disks, length=length)
    return body + table + record + end_record(said, 0xFFFFFFFF, 0xFFFFFFFF)


def split_zip() -> bytes:
    body, table = parts_of(file("a"))
    return body + table + end_record(1, len(table), len(body), disk=1)


def half_counted() -> bytes:
    body, table = parts_of(file("a"), file("b"))
    return body + table + end_record(2, len(table), len(body), here=1)


def first_entry_at_3() -> bytes:
    body, table = parts_of(Member(name=b"a", offset=3))
    return b"#!x" + body + table + end_record(1, len(table), len(body) + 3)


def short_table() -> bytes:
    body, table = parts_of(file("a"), file("b"))
    return body + table + end_record(1, len(table), len(body))


REFUSALS: dict[str, tuple[bytes, str]] = {
    # not a whole zip
    "empty upload": (b"", "the upload is empty: 0 bytes"),
    "text": (b"hello, world\n" * 10, "the upload is not a zip"),
    "gzip": (b"\x1f\x8b\x08\x00rest of it", "the upload is a gzip file, not a zip"),
    "7z": (b"7z\xbc\xaf\x27\x1crest of it", "the upload is a 7z archive, not a zip"),
    "cut off": (HONEST[:-30], "the zip is cut off: its end is missing"),
    "cut in the end record": (HONEST[:-1], "the zip is cut off: its end is missing"),
    "data after": (HONEST + b"more", "4 bytes follow the end of the zip"),
    "data before": (b"#!/bin/sh\n" + HONEST, "10 bytes too many lie before its end"),
    "no entries": (build(), "the zip holds no files"),
    "only folders": (build(folder("a")), "the zip holds folders but no files"),
    "only links": (build(link("a", "b")), "the zip holds folders but no files"),
    "split": (split_zip(), "one part of a split zip"),
    "split by its counts": (half_counted(), "one part of a split zip"),
    "entry on another disk": (
        build(Member(name=b"a", disk=2)),
        '"a" lies in another part of a spl',
    ),
    "fewer than counted": (build(file("a"), count=2), "its table of contents is broken"),
    "more than counted": (short_table(), "its table of contents is broken"),
    "no entry where one should be": (
        build(Member(name=b"a", central_magic=b"PK\0\0")),
        "its table of contents is broken",
    ),
    # zip64
    "zip64 counts lie": (zip64(2), "its table of contents is broken"),
    "zip64 contradicts": (zip64(1, said=7), "the zip's end records contradict each other"),
    "zip64 record too long": (zip64(1, length=45), "the zip's end records contradict each other"),
    "zip64 split": (zip64(1, disks=2), "one part of a split zip"),
    "zip64 size without a value": (
        build(Member(name=b"a", size=0xFFFFFFFF)),
        'the zip64 sizes of "a" are missing',
    ),
    "zip64 extra field cut": (
        build(Member(name=b"a", size=0xFFFFFFFF, extra=b"\x01\x00\x08\x00\x01")),
        'the zip64 sizes of "a" are missing',
    ),
    # entries that cannot be read
    "encrypted": (build(Member(name=b"a", flags=1)), '"a" is encrypted'),
    "strongly encrypted": (build(Member(name=b"a", flags=0x40)), '"a" is encrypted'),
    "bzip2": (build(Member(name=b"a", method=12)), "a method this server does not read (bzip2)"),
    "deflate64": (build(Member(name=b"a", method=9)), "does not read (deflate64)"),
    "unheard of": (build(Member(name=b"a", method=77)), "does not read (number 77)"),
    "two sizes of a stored file": (
        build(Member(name=b"a", method=STORED, content=b"abc", size=2)),
        '"a" is stored as it is, yet has two sizes',
    ),
    "wrong checksum": (
        build(Member(name=b"a", crc=1)),
        '"a": its checksum is not what the zip says',
    ),
    "garbage": (build(Member(name=b"a", packed=b"\xff" * 9)), '"a": it cannot be inflated'),
    "deflate cut": (
        build(Member(name=b"a", content=b"abc" * 99, packed=b"\x4b\x4c")),
        '"a": it is cut off',
    ),
    "bytes after deflate": (
        build(Member(name=b"a", content=b"", packed=b"\x03\x00junk")),
        '"a": bytes follow its end',
    ),
    "says less than it holds": (
        build(Member(name=b"a", content=b"x" * 1000, size=10)),
        '"a" unpacks to more than the 10 bytes it declares',
    ),
    "says more than it holds": (
        build(Member(name=b"a", content=b"x" * 1000, size=1001)),
        '"a": its size is not what the zip says',
    ),
    # local headers
    "another name inside": (
        build(Member(name=b"good.py", local_name=b"evil.py")),
        '"good.py" has another name in its own header',
    ),
    "another method inside": (
        build(Member(name=b"a", local_method=STORED)),
        '"a": its header and the table of contents differ',
    ),
    "no header": (
        build(Member(name=b"a", local_magic=b"PK\0\0")),
        '"a": it is not where the table of contents says',
    ),
    "header elsewhere": (
        build(file("a"), Member(name=b"b", offset=20, packed_size=1)),
        '"a" overlaps another part of the zip',
    ),
    "header past the end": (
        build(Member(name=b"a", offset=10**6)),
        "bytes lie before the first entry",
    ),
    "two entries in one place": (
        build(file("a"), Member(name=b"b", offset=0)),
        "overlaps another part of the zip",
    ),
    "into the table of contents": (
        build(Member(name=b"a", packed_size=40)),
        '"a" overlaps another part of the zip',
    ),
    "into the next by its extra field": (
        build(Member(name=b"a", local_extra=b"x"), Member(name=b"b", offset=33)),
        '"a" overlaps another part of the zip',
    ),
    "overlapping bomb": (overlapping_bomb(100_000, 50), "overlaps another part of the zip"),
    "first entry not at the start": (
        first_entry_at_3(),
        "3 bytes lie before the first entry",
    ),
    # names
    "absolute": (named("/etc/passwd"), 'the name "/etc/passwd" is absolute'),
    "root": (build(folder("")), 'the name "/" is absolute'),
    "drive": (named("C:/x"), 'the name "C:/x" is absolute'),
    "drive-relative": (named("c:x"), 'the name "c:x" is absolute'),
    "up": (named("../x"), 'the name "../x" leads out of the project by ..'),
    "up inside": (named("a/../../x"), "leads out of the project by .."),
    "up last": (named("a/.."), "leads out of the project by .."),
    "up folder": (build(folder("..")), 'the name "../" leads out of the project'),
    "backslash": (named("a\\b"), 'the name "a\\b" holds a backslash'),
    "up by backslash": (named("..\\x"), "holds a backslash"),
    "NUL": (named("a.py\0.txt"), 'the name "a.py\\x00.txt" holds a NUL character'),
    "empty part": (named("a//b"), 'the name "a//b" has an empty part'),
    "empty": (named(""), 'the name "" has an empty part'),
    "two slashes at the end": (build(folder("a/")), 'the name "a//" has an empty part'),
    "no name": (named("."), "the zip holds a file without a name"),
    "not UTF-8": (build(Member(name=b"\xff\xfe", flags=0x800)), "is not valid UTF-8"),
    "long part": (named("x" * 256), "is 256 bytes long; the most is 255"),
    "long part in UTF-8": (named("é" * 128), "is 256 bytes long; the most is 255"),
    "long path": (named("/".join(["d" * 99] * 41)), "is 4099 bytes long; the most is 4000"),
    "hidden in the message": (named("/a\x1b[2Jb"), 'the name "/a\\x1b[2Jb" is absolute'),
    # what entries make together
    "duplicate": (named("a", "b", "a"), '"a" is in the zip more than once'),
    "duplicate by another spelling": (
        named("a/b", "./a/./b"),
        '"a/b" is in the zip more than once',
    ),
    "duplicate folder": (build(folder("a"), folder("a"), file("b")), '"a" is in the zip more than'),
    "duplicate by code page": (
        build(Member(name="é".encode()), Member(name="é".encode(), flags=0x800)),
        '"é" is in the zip more than once',
    ),
    "file then folder": (named("a", "a/b"), '"a" is a file or a link, and a folder'),
    "folder then file": (named("a/b", "a"), '"a" is a file or a link, and a folder'),
    "file and empty folder": (
        build(file("a"), folder("a")),
        '"a" is a file or a link, and a folder',
    ),
    "link as a folder": (
        build(link("a", "b"), file("a/c")),
        '"a" is a file or a link, and a folder',
    ),
    "folder as a link": (
        build(file("a/c"), link("a", "b")),
        '"a" is a file or a link, and a folder',
    ),
    # kinds
    "folder with content": (
        build(Member(name=b"d/", mode=stat.S_IFDIR | 0o755, content=b"x")),
        '"d/" is a folder, yet has content',
    ),
    "device": (special(stat.S_IFCHR), '"odd" is a device'),
    "block device": (special(stat.S_IFBLK), '"odd" is a device'),
    "pipe": (special(stat.S_IFIFO), '"odd" is a named pipe'),
    "socket": (special(stat.S_IFSOCK), '"odd" is a socket'),
    "unknown kind": (special(0o160000), '"odd" is of an unknown kind'),
    "folder by mode only": (special(stat.S_IFDIR), '"odd" is no folder by its name and one by its'),
    "folder by name only": (
        build(Member(name=b"d/", mode=stat.S_IFLNK | 0o777)),
        '"d/" is a folder by its name and not one by its mode',
    ),
}


@pytest.mark.parametrize(("data", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refuses_and_says_why(data, message):
    with pytest.raises(InvalidArchive) as refused:
        check_zip(io.BytesIO(data))

    assert message in refused.value.detail
