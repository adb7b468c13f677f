"""What people see: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO, TextIO

    from ci_client.escapes import OutputFilter

_CONTROL = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_SUSPECT = bytes(set(range(0x20)) - set(b"\b\t\n\r")) + b"\x7f\xc2"
"""Control characters, and what those begin with that UTF-8 has two bytes for."""
_COLOURS = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
_CLEAR_LINE = "\r\x1b[K"


def printable(text: str) -> str:
    """Return ``text`` with control characters escaped: a name must not drive the terminal."""
    if text.isprintable():
        return text
    import re

    return re.sub(_CONTROL, lambda found: found[0].encode("unicode_escape").decode(), text)


def has_controls(raw: bytes) -> bool:
    """Return whether there may be more in a job's output than text in lines."""
    return len(raw.translate(None, _SUSPECT)) < len(raw)


def count(number: int, noun: str) -> str:
    """Return ``number`` and the noun, in the plural if need be."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether to colour ``stream``: NO_COLOR, then FORCE_COLOR, then whether it is a TTY."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


class OutputClosed(Exception):
    """Whoever read our output has seen enough; no ``OSError``, which click would handle."""


class Terminal:
    """Stdout and stderr of one command.

    ``live`` is whether a line may be redrawn: stderr is a terminal that can.
    """

    def __init__(self, *, colour: bool | None = None, err: TextIO | None = None) -> None:
        self._err = err or sys.stderr
        self.live = self._err.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = wants_colour(self._err, os.environ) if colour is None else colour
        self._status = ""
        self._mid_line = False
        self._filter: OutputFilter | None = None

    def output(self, text: str | bytes) -> None:
        """Write a job's output to stdout: as it is, but to a terminal nothing that drives it."""
        raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if self._filter is None and sys.stdout.isatty() and has_controls(raw):
            from ci_client.escapes import OutputFilter

            self._filter = OutputFilter()
        self.data(raw if self._filter is None else self._filter.clean(raw))

    def data(self, text: str | bytes) -> None:
        """Write to stdout at once, as it is."""
        if not text:
            return
        raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
        self._clear()
        try:
            _write_all(sys.stdout.buffer, raw)
        except BrokenPipeError as error:
            raise OutputClosed from error
        self._mid_line = not raw.endswith(b"\n")

    def note(self, text: str) -> None:
        """Say something on stderr, on a line of its own."""
        self._clear()
        if self._mid_line and sys.stdout.isatty():
            self._err.write("\n")
        self._mid_line = False
        self._err.write(self._encodable(text) + "\n")
        self._err.flush()

    def warn(self, text: str) -> None:
        """Say something on stderr that should not be missed."""
        self.note(f"{self.paint('warning:', 'yellow')} {text}")

    def status(self, text: str) -> None:
        """Show ``text`` until something else is said; only where a line can be redrawn."""
        if not self.live or text == self._status:
            return
        if self._mid_line and sys.stdout.isatty():
            return  # it would wipe out the end of the log
        self._status = text
        self._err.write(_CLEAR_LINE + self._encodable(text))
        self._err.flush()

    def _clear(self) -> None:
        if self._status:
            self._status = ""
            self._err.write(_CLEAR_LINE)
            self._err.flush()

    def paint(self, text: str, colour: str) -> str:
        """Return ``text`` in a colour, if stderr is to have any."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colour else text

    def mark(self, *, good: bool) -> str:
        """Return a tick or a cross."""
        return self.paint("✓", "green") if good else self.paint("✗", "red")

    def _encodable(self, text: str) -> str:
        encoding = self._err.encoding or "utf-8"
        text = text.replace("✓", "ok").replace("✗", "!!") if not _has(encoding, "✓✗") else text
        return text.encode(encoding, "backslashreplace").decode(encoding)


def _has(encoding: str, characters: str) -> bool:
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _write_all(stream: BinaryIO, raw: bytes) -> None:
    # Unbuffered (PYTHONUNBUFFERED) it is the file itself, which a signal may
    # interrupt in the middle, and the nudges of ``interrupts`` are signals.
    rest = memoryview(raw)
    while rest:
        rest = rest[stream.write(rest) :]
    stream.flush()


def discard_output() -> None:
    """Send what is still buffered for a closed pipe nowhere, so that the exit stays quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
