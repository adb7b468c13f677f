"""Where a zip's table of contents is: the records at the end of the file.

Layout by PKWARE's APPNOTE 6.3.10, sections 4.3.14 to 4.3.16. Stricter than the
format: the archive is the whole file, in one piece, and what the records say
twice they say alike.
"""

import struct
from typing import BinaryIO, NamedTuple

from ci_common.errors import InvalidArchive
from ci_common.project_zip.limits import ZipLimits

_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_ZIP64_LOCATOR = struct.Struct("<4sLQL")
_ZIP64_LOCATOR_MAGIC = b"PK\x06\x07"
_ZIP64_END = struct.Struct("<4sQ2H2L4Q")
_ZIP64_END_MAGIC = b"PK\x06\x06"
_LONGEST_COMMENT = 0xFFFF

_OTHER_FORMATS = {
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}
_MAKE_A_ZIP = "Send a zip of the project's folder; `ci submit` makes one."
_SEND_AGAIN = "Make the zip again and send it again."


class DirectoryPlace(NamedTuple):
    """The table of contents: ``size`` bytes at ``offset``, holding that many ``entries``."""

    entries: int
    size: int
    offset: int


def locate_directory(file: BinaryIO, file_size: int, limits: ZipLimits) -> DirectoryPlace:
    """Return where the table of contents is, within ``limits`` and within the file.

    Raises:
        InvalidArchive: not a zip, a part of one, or more than ``limits`` allow.

    """
    ends_at, end = _find_end(file, file_size)
    _, disk, first_disk, entries_here, *place, _ = end
    if disk not in {0, 0xFFFF} or first_disk not in {0, 0xFFFF}:
        raise _split_zip()
    found = DirectoryPlace(*place)
    if found.offset + found.size != ends_at:
        found, ends_at = _zip64_place(file, ends_at, found)
    elif entries_here != found.entries:
        raise _split_zip()
    if found.offset + found.size != ends_at:
        raise _misplaced(found, ends_at)
    _check_amount(found, limits)
    return found


def _find_end(file: BinaryIO, file_size: int) -> tuple[int, tuple[int, ...]]:
    """Return the offset of the end record and its fields."""
    if not file_size:
        raise InvalidArchive("the upload is empty: 0 bytes", hint=_MAKE_A_ZIP)
    start = max(0, file_size - _END.size - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read(file_size - start)
    at = tail.rfind(_END_MAGIC)
    nearest = at
    while at >= 0:
        if len(tail) - at >= _END.size:
            fields = _END.unpack_from(tail, at)
            # The comment reaches exactly to the end of the file.
            if at + _END.size + fields[7] == len(tail):
                return start + at, fields
        at = tail.rfind(_END_MAGIC, 0, at)
    raise _no_end(file, tail, nearest)


def _no_end(file: BinaryIO, tail: bytes, at: int) -> InvalidArchive:
    """Return what to say of a file that does not end as a zip does."""
    if at >= 0 and len(tail) - at >= _END.size:
        extra = len(tail) - at - _END.size - _END.unpack_from(tail, at)[7]
        if extra > 0:
            return InvalidArchive(
                f"{extra} bytes follow the end of the zip; a project zip ends with its own record",
                hint=_SEND_AGAIN,
            )
    file.seek(0)
    head = file.read(8)
    if head[:4] in {b"PK\x03\x04", _END_MAGIC}:
        return InvalidArchive("the zip is cut off: its end is missing", hint=_SEND_AGAIN)
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return InvalidArchive(f"the upload is {what}, not a zip", hint=_MAKE_A_ZIP)
    return InvalidArchive("the upload is not a zip", hint=_MAKE_A_ZIP)


def _zip64_place(file: BinaryIO, end_at: int, short: DirectoryPlace) -> tuple[DirectoryPlace, int]:
    """Return the place by the zip64 record before ``end_at``, and where that record is."""
    record_at, record_end = _zip64_record_span(file, end_at, short)
    file.seek(record_at)
    magic, size, _, _, disk, first_disk, entries_here, *values = _ZIP64_END.unpack(
        file.read(_ZIP64_END.size)
    )
    if magic != _ZIP64_END_MAGIC or record_at + 12 + size != record_end:
        raise _contradiction()
    place = DirectoryPlace(*values)
    if disk or first_disk or entries_here != place.entries:
        raise _split_zip()
    for value, full, unset in zip(short, place, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True):
        if value not in {full, unset}:
            raise _contradiction()
    return place, record_at


def _zip64_record_span(file: BinaryIO, end_at: int, short: DirectoryPlace) -> tuple[int, int]:
    """Return where the zip64 record begins and ends, by the locator before ``end_at``."""
    locator_at = end_at - _ZIP64_LOCATOR.size
    if locator_at < 0:
        raise _misplaced(short, end_at)
    file.seek(locator_at)
    magic, disk, record_at, disks = _ZIP64_LOCATOR.unpack(file.read(_ZIP64_LOCATOR.size))
    if magic != _ZIP64_LOCATOR_MAGIC:
        raise _misplaced(short, end_at)
    if disk or disks > 1:
        raise _split_zip()
    if record_at + _ZIP64_END.size > locator_at:
        raise _contradiction()
    return record_at, locator_at


def _check_amount(place: DirectoryPlace, limits: ZipLimits) -> None:
    # Before the table is read: it is the one part of a zip that is held in memory.
    if not place.entries:
        raise InvalidArchive("the zip holds no files", hint=_MAKE_A_ZIP)
    if place.entries > limits.max_files:
        raise too_many_files(limits)
    if place.size > limits.max_directory_bytes:
        raise InvalidArchive(
            f"the zip's table of contents is {place.size} bytes;"
            f" this server reads at most {limits.max_directory_bytes}",
            hint="Leave out what the tests do not need.",
        )


def too_many_files(limits: ZipLimits) -> InvalidArchive:
    """Return the refusal of a zip with more than ``max_files`` files and folders."""
    return InvalidArchive(
        f"the zip holds more than {limits.max_files} files and folders",
        hint="Leave out what the tests do not need (virtual environments, node_modules, caches).",
    )


def _split_zip() -> InvalidArchive:
    return InvalidArchive("the upload is one part of a split zip", hint="Send it in one piece.")


def _contradiction() -> InvalidArchive:
    return InvalidArchive("the zip's end records contradict each other", hint=_SEND_AGAIN)


def _misplaced(place: DirectoryPlace, ends_at: int) -> InvalidArchive:
    extra = ends_at - place.offset - place.size
    if extra > 0:
        detail = f"the zip's parts are not where it says: {extra} bytes too many lie before its end"
    else:
        detail = "the zip is damaged: its table of contents is not where it says"
    return InvalidArchive(detail, hint=_SEND_AGAIN)
