"""A pack on its way in: a zip whose entries are files named by the SHA-256 of their content."""

import hashlib
import re
from collections.abc import Collection
from typing import BinaryIO

from ci_common.blobs import Place
from ci_common.errors import InvalidArchive
from ci_common.project_zip import Archive, Entry, EntryKind, ZipLimits, check_size
from ci_common.project_zip.names import quoted

_NAME = re.compile(rb"[0-9a-f]{64}")


def check_pack(
    file: BinaryIO, pack: int, wanted: Collection[bytes], limits: ZipLimits
) -> dict[bytes, Place]:
    """Read a pack to its last byte; return the places of its blobs by hash.

    ``pack`` is the number the pack will have, ``wanted`` the hashes that the
    manifest names: a pack brings nothing else. Blocks for as long as inflating
    and hashing takes; call it in a thread.

    Raises:
        InvalidArchive: the zip is refused, or a content is not what its name says.
        OSError: the file cannot be read.

    """
    archive = Archive(file, limits)
    check_size(archive, limits)
    found = {_checked(archive, entry): _place(pack, entry) for entry in archive.entries}
    for blob in found:
        if blob not in wanted:
            raise InvalidArchive(f"the zip holds {blob.hex()}, which the manifest does not name")
    return found


def _checked(archive: Archive, entry: Entry) -> bytes:
    """Return the hash of an entry that holds what its name says."""
    if entry.kind is not EntryKind.FILE or not _NAME.fullmatch(entry.raw_name):
        raise InvalidArchive(
            f"{quoted(entry.path)} is no file named by the SHA-256 of its content",
            hint="With a manifest, the zip holds contents by hash; without one, files by name.",
        )
    digest = hashlib.sha256()
    for piece in archive.content(entry):
        digest.update(piece)
    if digest.hexdigest() != entry.path:
        raise InvalidArchive(
            f"the content of {entry.path} has the SHA-256 {digest.hexdigest()}",
            hint="The file may have changed while it was sent. Submit again.",
        )
    return digest.digest()


def _place(pack: int, entry: Entry) -> Place:
    return Place(pack, entry.offset, entry.packed, entry.size, entry.method, entry.crc)
