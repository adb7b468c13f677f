"""The engine's framing of a container's output: 8 bytes of header, then the bytes.

In a log each line is a frame, and each frame an HTTP chunk of its own: taken
apart one read at a time, as HTTP libraries do, short lines come five times
slower than the engine sends them.
"""

import struct

HEADER = struct.Struct(">BxxxL")
STDOUT = 1
STDERR = 2


class FrameDecoder:
    """Turns pieces of the framed stream, cut anywhere, into the bytes of one ``stream``."""

    def __init__(self, stream: int = STDOUT) -> None:
        self._stream = stream
        self._rest = b""
        self._left = 0
        self._wanted = False

    def decode(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the stream."""
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        end = len(data)
        position = 0
        parts: list[memoryview] = []
        while position < end:
            if not self._left:
                if end - position < HEADER.size:
                    break
                kind, self._left = HEADER.unpack_from(data, position)
                self._wanted = kind == self._stream
                position += HEADER.size
            take = min(self._left, end - position)
            if self._wanted and take:
                parts.append(view[position : position + take])
            self._left -= take
            position += take
        self._rest = data[position:]
        return b"".join(parts)


class ChunkDecoder:
    """Turns pieces of an HTTP body in chunked coding, cut anywhere, into the body."""

    def __init__(self) -> None:
        # Before every chunk but the first comes the end of another's data: made alike.
        self._rest = b"\r\n"
        self._left = 0
        self.ended = False

    def decode(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the body. Raises ValueError for what is not chunked."""
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        end = len(data)
        position = 0
        parts: list[memoryview] = []
        while position < end and not self.ended:
            if not self._left:
                line_end = data.find(b"\r\n", position + 2)
                if line_end < 0:
                    break
                self._left = int(data[position:line_end].split(b";")[0], 16)
                self.ended = not self._left
                position = line_end + 2
                continue
            take = min(self._left, end - position)
            parts.append(view[position : position + take])
            self._left -= take
            position += take
        self._rest = data[position:]
        return b"".join(parts)
