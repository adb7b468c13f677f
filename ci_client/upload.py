"""A zip on its way to the server."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO


def _ignore(_sent: int, _total: int) -> None:
    """Take no interest in progress."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission, however many attempts it takes to get through.

    ``command`` is what to run instead of what the server finds. ``key`` tells
    the server that repeated attempts are one. ``progress`` is told the bytes
    sent so far, and of how many.
    """

    archive: IO[bytes]
    project: str = ""
    command: tuple[str, ...] = ()
    progress: Callable[[int, int], None] = _ignore
    key: str = field(default_factory=lambda: os.urandom(16).hex())

    def fields(self) -> dict[str, str]:
        """Return the form fields that go before the file."""
        fields = {"project": self.project} if self.project else {}
        return {**fields, "command": json.dumps(self.command)} if self.command else fields

    @property
    def size(self) -> int:
        """Bytes of the zip."""
        return self.archive.seek(0, os.SEEK_END)


class UploadBody:
    """The zip as the HTTP library reads it, piece by piece."""

    def __init__(self, submission: Submission) -> None:
        self._file = submission.archive
        self._total = submission.size
        self._progress = submission.progress
        self._file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Return the next piece."""
        data = self._file.read(size)
        self._progress(self._file.tell(), self._total)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file; return where that is."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()
