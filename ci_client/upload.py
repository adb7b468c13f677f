"""A zip on its way to the server."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

_BLOCK = 256 * 1024
_RATE = 5_000_000
"""Bytes a second at which a server checks an upload, at the least, before it answers."""


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


class Form:
    """A submission as a multipart form: its fields, then the zip, piece by piece."""

    def __init__(self, submission: Submission) -> None:
        boundary = os.urandom(16).hex()
        fields = (_part(boundary, name, "", text) for name, text in submission.fields().items())
        about_file = '; filename="project.zip"\r\nContent-Type: application/zip'
        self._head = ("".join(fields) + _part(boundary, "file", about_file, "")[:-2]).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file = submission.archive
        self._total = submission.size
        self._progress = submission.progress
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.size = len(self._head) + self._total + len(self._tail)
        self.patience = self._total / _RATE

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces; the submission's ``progress`` is told after each of the zip's."""
        self._file.seek(0)
        sent = 0
        yield self._head
        while data := self._file.read(_BLOCK):
            yield data
            sent += len(data)
            self._progress(sent, self._total)
        yield self._tail


def _part(boundary: str, name: str, about: str, content: str) -> str:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{about}\r\n\r\n{content}\r\n'
    )
