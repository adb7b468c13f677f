"""The engine's log of a container, turned back into the bytes that the container wrote.

The ``local`` log driver keeps a line a frame, and one of 16 KiB or more as
several. Docker Engine 20.10 loses the newline after such a line (measured).
All frames of a line carry the same time stamp, and one that is not full ends
its line, so asking for stamps is enough to put the newline back.

One case is left open: a long line that is the log's last bytes may have been
followed by a newline or not. It is left out then: what comes out of here is
never more than what was written.
"""

from ci_controller.docker_engine.frames import HEADER, STDOUT

_FULL = 16384


class LogDecoder:
    """Turns pieces of a stamped log, cut anywhere, into the bytes written to standard output."""

    def __init__(self) -> None:
        self._rest = b""
        self._long_line = b""
        self._newline_due = False

    def decode(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the output."""
        data = self._rest + data
        end = len(data)
        position = 0
        parts: list[bytes] = []
        while end - position >= HEADER.size:
            kind, size = HEADER.unpack_from(data, position)
            start, stop = position + HEADER.size, position + HEADER.size + size
            if stop > end:
                break
            if kind == STDOUT:
                self._add(data[start:stop], parts)
            position = stop
        self._rest = data[position:]
        return b"".join(parts)

    def _add(self, frame: bytes, parts: list[bytes]) -> None:
        stamp, _, line = frame.partition(b" ")
        if self._newline_due:
            parts.append(b"\n")
            self._newline_due = False
        parts.append(line)
        if line.endswith(b"\n"):
            self._long_line = b""
        elif len(line) == _FULL:
            self._long_line = stamp
        else:
            # Of a short line without a newline, the output has ended there.
            self._newline_due = stamp == self._long_line
            self._long_line = b""
