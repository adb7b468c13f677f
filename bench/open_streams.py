"""Streams that are open and read: ``python -m bench.open_streams HOST PORT COUNT JOB...``.

Writes ``connected`` once every one of them has its answer, and reads until it is killed.
Fails when one of them ends.
"""

import asyncio
import sys

_AT_ONCE = 50
"""Connections that are opened at once: a listening socket's queue is short."""


class Reader(asyncio.Protocol):
    """One connection; what comes is counted and forgotten."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, _: bytes) -> None:
        """Note that something came."""
        self.answered.set()

    def connection_lost(self, _: Exception | None) -> None:
        """Note the end."""
        self.answered.set()
        self.ended.set()


async def read_all(host: str, port: int, count: int, job_ids: list[str]) -> None:
    """Open the streams, the jobs in turn, and read until one of them ends."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def open_one(number: int) -> Reader:
        job_id = job_ids[number % len(job_ids)]
        request = f"GET /jobs/{job_id}/stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        async with places:
            loop = asyncio.get_running_loop()
            transport, reader = await loop.create_connection(Reader, host, port)
            transport.write(request.encode())
            await reader.answered.wait()
            return reader

    readers = await asyncio.gather(*map(open_one, range(count)))
    print("connected", flush=True)
    ends = [asyncio.ensure_future(reader.ended.wait()) for reader in readers]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    raise SystemExit("a stream ended")


if __name__ == "__main__":
    asyncio.run(read_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
