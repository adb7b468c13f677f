"""What tells a project's files from others, whichever way they came.

The SHA-256 of all files and links in the order of their paths' bytes: each
with its length-prefixed path, its permissions, and the SHA-256 of its content
or its length-prefixed target. Times and empty folders do not count.
"""

import hashlib
from collections.abc import Iterable, Mapping

from ci_common.project_zip.directory import Entry, EntryKind


def tree_sha256(
    entries: Iterable[Entry], contents: Mapping[str, bytes], targets: Mapping[str, bytes]
) -> str:
    """Return the hex digest; ``contents`` are files' SHA-256 and ``targets`` links', by path."""
    digest = hashlib.sha256(b"standby-ci tree 1\n")
    parts = []
    for entry in entries:
        path = entry.path.encode("utf-8", "surrogateescape")
        named = b"%d:%b" % (len(path), path)
        if entry.kind is EntryKind.FILE:
            parts.append((path, b"F%b%o:%b" % (named, entry.mode, contents[entry.path])))
        elif entry.kind is EntryKind.LINK:
            target = targets[entry.path]
            parts.append((path, b"L%b%d:%b" % (named, len(target), target)))
    for _, part in sorted(parts):
        digest.update(part)
    return digest.hexdigest()
