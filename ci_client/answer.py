"""An HTTP/1.1 answer, read from a connection as it comes (RFC 9112).

Decision 0016 says why it is not read by a library.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from io import BufferedReader

_BLOCK = 64 * 1024
_LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 200


class EndedTooSoon(ConnectionError):
    """The other side closed the connection in the middle."""


class NotHttp(ConnectionError):
    """What came is no HTTP."""


class Answer:
    """Status, reason and headers, and the body for ``pieces``. Close it.

    ``headers`` have their names in lower case; the values of a name that came
    more than once are joined by commas. It answers any request but HEAD.

    Raises:
        OSError: nothing came, or no HTTP.

    """

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")
        try:
            self.status, self.reason = self._read_status()
            self.headers = _read_headers(self._file)
            while 100 <= self.status < 200:  # what comes before the answer itself
                self.status, self.reason = self._read_status()
                self.headers = _read_headers(self._file)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection, which whoever opened it has to close as well."""
        self._file.close()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes in.

        Raises:
            OSError: it ended too early, nothing came for too long, or it is no HTTP.

        """
        coding = self.headers.get("transfer-encoding")
        length = self.headers.get("content-length")
        if self.status in {204, 304}:
            return
        if coding is not None:
            if coding.lower() != "chunked":
                raise NotHttp(f"the answer is in a coding that was not asked for: {coding}")
            yield from _chunks(self._file)
        elif length is not None:
            yield from _exactly(self._file, _number(length, 10))
        else:
            while data := self._file.read1(_BLOCK):
                yield data

    def _read_status(self) -> tuple[int, str]:
        version, _, rest = _line(self._file).partition(" ")
        status, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or len(status) != 3:
            raise NotHttp("the answer is no HTTP/1.1")
        return _number(status, 10), reason


def _read_headers(file: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = _line(file)
        if not line:
            return headers
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise NotHttp("the answer has too many headers")


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    while size := _number(_line(file).partition(";")[0], 16):
        yield from _exactly(file, size)
        if _line(file):
            raise NotHttp("a chunk of the answer is longer than it says")
    _read_headers(file)


def _exactly(file: BufferedReader, size: int) -> Iterator[bytes]:
    while size > 0:
        data = file.read1(min(size, _BLOCK))
        if not data:
            raise EndedTooSoon(f"{size} bytes are missing")
        size -= len(data)
        yield data


def _line(file: BufferedReader) -> str:
    line = file.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise NotHttp("a line has no end") if len(line) == _LONGEST_LINE else EndedTooSoon("no end")
    return line.rstrip(b"\r\n").decode("latin-1")


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise NotHttp(f"{text[:20]!r} stands where a number belongs")
    return number
