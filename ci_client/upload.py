"""A project on its way to the server."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO, Self

    from ci_client.archive import GrowingZip
    from ci_common.errors import CIError

_BLOCK = 256 * 1024
_RATE = 5_000_000
"""Bytes a second at which a server checks an upload, at the least, before it answers."""


def _ignore(_sent: int, _total: int) -> None:
    """Take no interest in progress."""


class FilesChanged(Exception):
    """A file is not any more what it was when its hash was taken; nothing was submitted."""


class FileContent:
    """A zip in an open file, to be sent as a ``GrowingZip`` is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def pieces(self) -> Iterator[bytes]:
        """Yield the file from its beginning."""
        self._file.seek(0)
        while data := self._file.read(_BLOCK):
            yield data

    def progress(self, sent: int) -> tuple[int, int]:
        """Return how much of how much has been done when ``sent`` bytes are out."""
        return sent, self.size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Submission:
    """One submission, however many attempts it takes to get through; ``with`` closes its zip.

    ``archive`` is the project's zip; None leaves the file out of the form.
    ``command`` is what to run instead of what the server finds. ``key`` tells
    the server that repeated attempts are one. ``progress`` is told how much of
    how much has been sent. ``options`` are further fields, about the job.
    """

    def __init__(
        self,
        archive: IO[bytes] | GrowingZip | None,
        project: str = "",
        command: tuple[str, ...] = (),
        progress: Callable[[int, int], None] = _ignore,
        key: str | None = None,
        *,
        options: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.content = _content(archive)
        self.project = project
        self.command = command
        self.progress = progress
        self.options = options
        self.key = key or os.urandom(16).hex()
        self.traceparent: str | None = None
        """The trace that the job is to belong to, as W3C Trace Context writes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.content is not None:
            self.content.close()

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with the form beside what the form needs."""
        trace = {"traceparent": self.traceparent} if self.traceparent else {}
        return {"Idempotency-Key": self.key, **trace}

    def fields(self) -> list[tuple[str, str | bytes]]:
        """Return the form fields that go before the file, by name."""
        fields: list[tuple[str, str | bytes]] = [*self.options]
        if self.project:
            fields.append(("project", self.project))
        if self.command:
            import json  # most have none, and it takes a while

            fields.append(("command", json.dumps(self.command)))
        return fields

    def accepted(self) -> None:
        """Note that the server has it."""

    def adapts_to(self, _refusal: CIError) -> bool:
        """Return whether there is another way to send it, which is the one from now on."""
        return False

    def files_changed(self) -> None:
        """Note that its files changed while they were sent; nothing was submitted."""


def _content(archive: IO[bytes] | GrowingZip | None) -> FileContent | GrowingZip | None:
    from ci_client.archive import GrowingZip

    return archive if archive is None or isinstance(archive, GrowingZip) else FileContent(archive)


class Form:
    """A submission as a multipart form: its fields, then the zip, piece by piece.

    ``headers`` are those of the form itself. ``size`` in bytes is None for a
    zip that is still to be made: it goes in chunks then.
    """

    def __init__(self, submission: Submission) -> None:
        boundary = os.urandom(16).hex()
        self._head = b"".join(
            _part(boundary, name, "", content) for name, content in submission.fields()
        )
        self._tail = f"--{boundary}--\r\n".encode()
        self._content = submission.content
        self._progress = submission.progress
        self._sent = 0
        self.size: int | None = len(self._head) + len(self._tail)
        if self._content is not None:
            about_file = '; filename="project.zip"\r\nContent-Type: application/zip'
            self._head += _part(boundary, "file", about_file, b"")[:-2]
            self._tail = b"\r\n" + self._tail
            zipped = self._content.size
            whole = len(self._head) + (zipped or 0) + len(self._tail)
            self.size = None if zipped is None else whole
        coding = {"Transfer-Encoding": "chunked"}
        length = coding if self.size is None else {"Content-Length": str(self.size)}
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **length}

    @property
    def patience(self) -> float:
        """Seconds that the server may take, beyond the usual, to check what has been sent."""
        content = self._content
        return (self._sent if content is None else content.size or self._sent) / _RATE

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body; the submission's ``progress`` is told after each piece of the zip."""
        pieces = self._pieces()
        return pieces if self.size is not None else _chunks(pieces)

    def _pieces(self) -> Iterator[bytes]:
        self._sent = 0
        yield self._head
        if self._content is not None:
            for data in self._content.pieces():
                yield data
                self._sent += len(data)
                self._progress(*self._content.progress(self._sent))
        yield self._tail
        # Only now has all of it gone out, also of what was not known to be the last piece.
        done = self._sent or len(self._head)
        self._progress(done, done)


def _part(boundary: str, name: str, about: str, content: str | bytes) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{about}\r\n\r\n'
    raw = content.encode() if isinstance(content, str) else content
    return head.encode() + raw + b"\r\n"


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
