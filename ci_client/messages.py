"""Server-sent events, as the WHATWG's HTML standard has them."""

from __future__ import annotations

from ci_common.errors import ServerRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST = 16 * 1024 * 1024
"""Bytes of one line beyond which the other side is no server of ours."""


def messages(pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield data and id of each message in a stream that is cut anywhere.

    The id is the last that was named, in the message or before it. An
    unfinished last message is dropped.

    Raises:
        ServerRefused: a line has no end.

    """
    data: list[str] = []
    last_id = ""
    for line in _lines(pieces):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield "\n".join(data), last_id
            data = []
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    after_return = False
    for piece in pieces:
        # A CR ends a line at once, so the LF that may follow it must not end another.
        text = piece.removeprefix(b"\n") if after_return else piece
        after_return = piece.endswith(b"\r")
        *whole, rest = _split(rest + text)
        for line in whole:
            yield line.decode("utf-8", "replace")
        if len(rest) > _LONGEST:
            raise ServerRefused("the stream holds a line without an end")


def _split(text: bytes) -> list[bytes]:
    """Return the lines of ``text``, and last what follows their last end, maybe nothing."""
    lines = text.splitlines()
    return lines if text and not text.endswith((b"\r", b"\n")) else [*lines, b""]
