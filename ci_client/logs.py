"""Reading a job's log as bytes, whole or from near its end."""

import re
from collections.abc import AsyncGenerator

import httpx2

from ci_client.connection import refuse_problems, unreachable

_BEYOND_THE_END = 416
_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


async def read_log(http: httpx2.AsyncClient, path: str, offset: int) -> AsyncGenerator[bytes, None]:
    """Yield the log from ``offset`` to its present end.

    Raises:
        ServerUnreachable: the connection failed or broke off.
        CIError: the server refused.

    """
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        async with http.stream("GET", path, headers=headers) as response:
            if response.status_code == _BEYOND_THE_END:
                return  # nothing there beyond the offset
            await refuse_problems(response)
            async for data in response.aiter_bytes():
                yield data
    except httpx2.TransportError as error:
        raise unreachable(http.base_url, error) from error


async def tail_offset(http: httpx2.AsyncClient, path: str, lines: int) -> int:
    """Return where the last ``lines`` lines begin, reading backwards block by block."""
    end: int | None = None
    missing = lines
    while True:
        start, data = await _block_before(http, path, end)
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


async def _block_before(http: httpx2.AsyncClient, path: str, end: int | None) -> tuple[int, bytes]:
    """Return the offset and the bytes of the block that ends at ``end`` (None: the log's end)."""
    wanted = f"bytes=-{_BLOCK}" if end is None else f"bytes={max(0, end - _BLOCK)}-{end - 1}"
    try:
        response = await http.get(path, headers={"Range": wanted})
    except httpx2.TransportError as error:
        raise unreachable(http.base_url, error) from error
    if response.status_code == _BEYOND_THE_END:
        return 0, b""
    await refuse_problems(response)
    place = _RANGE.match(response.headers.get("content-range", ""))
    if response.status_code == httpx2.codes.PARTIAL_CONTENT and place:
        return int(place[1]), response.content
    return 0, response.content if end is None else response.content[:end]
