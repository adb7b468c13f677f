"""Reading a job's log as bytes, whole or from near its end."""

import re
from collections.abc import Generator

from ci_client.connection import refuse_problems, unreachable
from ci_client.exchange import BrokenExchange, Http

_BEYOND_THE_END = 416
_PARTIAL_CONTENT = 206
_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def read_log(http: Http, path: str, offset: int) -> Generator[bytes, None, None]:
    """Yield the log from ``offset`` to its present end.

    Raises:
        ServerUnreachable: the connection failed or broke off.
        CIError: the server refused.

    """
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        with http.send("GET", path, headers=headers) as response:
            if response.status == _BEYOND_THE_END:
                return  # nothing there beyond the offset
            refuse_problems(response)
            yield from response.pieces()
    except BrokenExchange as error:
        raise unreachable(http.base_url, error) from error


def tail_offset(http: Http, path: str, lines: int) -> int:
    """Return where the last ``lines`` lines begin, reading backwards block by block."""
    end: int | None = None
    missing = lines
    while True:
        start, data = _block_before(http, path, end)
        if end is None and data.endswith(b"\n"):
            missing += 1  # the one that ends the last line begins none
        for _ in range(data.count(b"\n")):
            cut = data.rfind(b"\n")
            missing -= 1
            if missing == 0:
                return start + cut + 1
            data = data[:cut]
        if start == 0:
            return 0
        end = start


def _block_before(http: Http, path: str, end: int | None) -> tuple[int, bytes]:
    """Return the offset and the bytes of the block that ends at ``end`` (None: the log's end)."""
    wanted = f"bytes=-{_BLOCK}" if end is None else f"bytes={max(0, end - _BLOCK)}-{end - 1}"
    try:
        with http.send("GET", path, headers={"Range": wanted}) as response:
            if response.status == _BEYOND_THE_END:
                return 0, b""
            refuse_problems(response)
            content = response.read()
    except BrokenExchange as error:
        raise unreachable(http.base_url, error) from error
    place = _RANGE.match(response.headers.get("content-range", ""))
    if response.status == _PARTIAL_CONTENT and place:
        return int(place[1]), content
    return 0, content if end is None else content[:end]
