"""The private keys that tokens are signed with: files that only the server's user can read."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ci_persistence.disk import ensure_folder, fsync_folder

_SUFFIX = ".pem"
_NAME = re.compile(r"[0-9A-Za-z-]{1,64}")


class FileSigningKeys:
    """Keys by name, each in a file of ``folder`` (0600) that is there as a whole or not at all.

    Any number of processes may use a folder at once. Everything blocks, and may
    raise ``OSError``. The folder is made with the first key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Mapping[str, bytes]:
        """Return the keys by name, as PEM."""
        found = {}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            # Another process may have removed one in the meantime.
            with contextlib.suppress(FileNotFoundError):
                if _NAME.fullmatch(path.stem):
                    found[path.stem] = path.read_bytes()
        return found

    def add(self, name: str, pem: bytes) -> None:
        """Keep a key. What a crash leaves of it is no key, and is written over by nobody."""
        ensure_folder(self._folder)
        part = self._folder / f"{name}.part"
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / f"{name}{_SUFFIX}")
        fsync_folder(self._folder)

    def remove(self, name: str) -> None:
        """Delete a key, if it is there."""
        (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)
