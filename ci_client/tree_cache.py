"""What is remembered between submissions of a folder to a server.

Which files went up and with which hashes, so that an unchanged file is not
read again; and the secret by which the server knows whose files they are.
Nothing here is needed: what is missing, damaged or cannot be written costs
time and nothing else.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_APP = "standby-ci"
_HEAD = struct.Struct("<8sL")
_TABLE = struct.Struct("<Q7L")
_FORMAT = b"SCITREE1"
_SECRET_BYTES = 32
_MOST_FILES = 64
"""Caches that are kept: those that were written longest ago go."""


class TreeCache:
    """The last submission of ``root`` to the server at ``url``.

    ``scope`` is what the server knows us by. ``names`` are the files' names,
    each ended by a NUL, ``stamps`` their stamps as ``pack_stamps`` has them,
    ``links`` the rows of links, and ``manifest`` what was sent, gzipped.
    ``refused_at``: when the server took no manifests, in seconds since 1970; 0
    if it did.
    """

    def __init__(
        self,
        scope: str,
        *,
        refused_at: int = 0,
        names: bytes = b"",
        stamps: bytes = b"",
        links: bytes = b"",
        manifest: bytes = b"",
    ) -> None:
        self.scope = scope
        self.refused_at = refused_at
        self.names = names
        self.stamps = stamps
        self.links = links
        self.manifest = manifest


class CacheFolder:
    """The user's own folder for caches."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_CACHE_HOME") or ""
        # The XDG rules: a relative path there is to be ignored.
        home = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
        self._folder = os.path.join(home, _APP)
        self._trees = os.path.join(self._folder, "trees")

    def read(self, root: str, url: str) -> TreeCache | None:
        """Return what is remembered, None if that is nothing."""
        try:
            with open(self._path(root, url), "rb") as file:
                data = file.read()
            return _decoded(data, root, url)
        except (OSError, ValueError, struct.error):
            return None

    def write(self, root: str, url: str, cache: TreeCache) -> None:
        """Remember, if that is possible. Readers see all of it or what was there before."""
        path = self._path(root, url)
        temporary = f"{path}.{os.getpid()}"
        try:
            os.makedirs(self._trees, mode=0o700, exist_ok=True)
            with open(temporary, "wb", opener=_private) as file:
                file.write(_encoded(cache, root, url))
            os.replace(temporary, path)
            self._make_room()
        except OSError:
            _remove(temporary)

    def scope(self, url: str) -> str | None:
        """Return what the server at ``url`` is to know us by; None if it cannot be kept.

        Made of a secret of this user's, and of the address: no server learns
        what another one knows us by.
        """
        secret = self._secret()
        if secret is None:
            return None
        import hashlib

        return hashlib.sha256(secret + url.encode()).hexdigest()

    def _secret(self) -> bytes | None:
        path = os.path.join(self._folder, "secret")
        temporary = f"{path}.{os.getpid()}"
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            if not os.path.exists(path):
                with open(temporary, "wb", opener=_private) as file:
                    file.write(os.urandom(_SECRET_BYTES))
                _take_first(temporary, path)
            with open(path, "rb") as file:
                secret = file.read()
        except OSError:
            return None
        return secret if len(secret) == _SECRET_BYTES else None

    def _path(self, root: str, url: str) -> str:
        # Two that share a name would push each other out, and never be mixed up.
        names = (zlib.crc32(os.fsencode(text)) for text in (root, url))
        return os.path.join(self._trees, "-".join(f"{name:08x}" for name in names))

    def _make_room(self) -> None:
        with os.scandir(self._trees) as entries:
            found = sorted(entries, key=lambda entry: entry.stat().st_mtime)
        for entry in found[:-_MOST_FILES]:
            _remove(entry.path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _take_first(temporary: str, path: str) -> None:
    """Give a file its name, unless another process was faster."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _encoded(cache: TreeCache, root: str, url: str) -> bytes:
    parts = (
        os.fsencode(root), url.encode(), cache.scope.encode(),
        cache.names, cache.stamps, cache.links, cache.manifest,
    )  # fmt: skip
    body = _TABLE.pack(cache.refused_at, *map(len, parts)) + b"".join(parts)
    return _HEAD.pack(_FORMAT, zlib.crc32(body)) + body


def _decoded(data: bytes, root: str, url: str) -> TreeCache | None:
    magic, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if magic != _FORMAT or zlib.crc32(body) != checksum:
        return None
    refused_at, *lengths = _TABLE.unpack_from(body)
    parts = _cut(body[_TABLE.size :], lengths)
    if next(parts) != os.fsencode(root) or next(parts) != url.encode():
        return None
    scope, names, stamps, links, manifest = parts
    return TreeCache(
        scope.decode(),
        refused_at=refused_at,
        names=names,
        stamps=stamps,
        links=links,
        manifest=manifest,
    )


def _cut(body: memoryview, lengths: list[int]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield bytes(body[at : at + length])
        at += length


def now() -> int:
    """Return the seconds since 1970."""
    return time.time_ns() // 10**9
