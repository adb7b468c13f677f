"""Many readers of one job in one process: ``python -m bench.crowd HOST PORT JOB COUNT FILE``.

Writes ``connected`` once every reader has its answer. While the streams run it
only keeps what comes and when; everything is parsed at the end, so that the
readers' own work is not in the figures.
"""

import asyncio
import json
import re
import sys
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

STAMP = "stamp "
"""Begins a line that goes on with when it was written, as ``time.time_ns`` has it."""

_EVENT = re.compile(rb"id: \d+\ndata: (\{.*\})\n\n")
_BACKLOG = 50
"""Connections that are opened at once: a listening socket's queue is short."""

_SAMPLES = 20_000
"""Delays that are kept; of more, as many that lie evenly among the sorted ones."""


class Reader(asyncio.Protocol):
    """One connection and everything that came over it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.sizes = array("q")
        self.moments = array("q")
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Keep what came, and when."""
        self.moments.append(time.time_ns())
        self.sizes.append(len(data))
        self.received += data
        self.answered.set()

    def connection_lost(self, _: Exception | None) -> None:
        """Note the end."""
        self.answered.set()
        self.ended.set()

    def log(self) -> Iterator[tuple[int, str]]:
        """Yield the pieces of log that came, each with when its end came."""
        ends = list(accumulate(self.sizes))
        for found in _EVENT.finditer(self.received):
            event = json.loads(found[1])
            if event["type"] == "log":
                yield self.moments[bisect_left(ends, found.end())], event["data"]


async def read_all(host: str, port: int, job_id: str, count: int) -> tuple[list[Reader], int]:
    """Have ``count`` readers read the job from its beginning to its end.

    Returns them, and when the last of them had its answer.
    """
    request = (
        f"GET /jobs/{job_id}/stream?from_beginning=true HTTP/1.1\r\n"
        f"Host: {host}:{port}\r\nConnection: close\r\n\r\n"
    ).encode()
    places = asyncio.Semaphore(_BACKLOG)

    async def open_one() -> Reader:
        async with places:
            transport, reader = await asyncio.get_running_loop().create_connection(
                Reader, host, port
            )
            transport.write(request)
            await reader.answered.wait()
            return reader

    readers = await asyncio.gather(*(open_one() for _ in range(count)))
    connected = time.time_ns()
    print("connected", flush=True)
    for reader in readers:
        await reader.ended.wait()
    return readers, connected


def summary(readers: list[Reader], since: int) -> dict[str, object]:
    """Return how many different logs came, one of them, and the delays of lines after ``since``."""
    logs, delays = set(), array("d")
    for reader in readers:
        pieces = list(reader.log())
        logs.add("".join(text for _, text in pieces))
        delays.extend(_delays(pieces, since))
    kept = sorted(delays)
    step = max(1, len(kept) // _SAMPLES)
    return {"logs": len(logs), "log": logs.pop(), "lines": len(kept), "delays": kept[::step]}


def _delays(pieces: list[tuple[int, str]], since: int) -> Iterator[float]:
    pending = ""
    for at, text in pieces:
        *lines, pending = (pending + text).split("\n")
        for line in lines:
            if line.startswith(STAMP):
                written = int(line.removeprefix(STAMP))
                if written >= since:
                    yield (at - written) / 1e9


def main() -> None:
    """Read, then write the summary into a file."""
    host, port, job_id, count, target = sys.argv[1:]
    readers, connected = asyncio.run(read_all(host, int(port), job_id, int(count)))
    Path(target).write_text(json.dumps(summary(readers, connected)))


if __name__ == "__main__":
    main()
