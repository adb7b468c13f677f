"""A crowd that reads one job's stream; each of them compares every byte and keeps none."""

import asyncio
import re
import socket
from functools import partial

import msgspec

_EVENT = re.compile(rb"id: (\d+)\ndata: (.*)", re.DOTALL)
_BACKLOG = 50
"""Connections that are opened at once: a listening socket's queue is short."""

_LITTLE = 4096
"""Bytes that the kernel keeps for a slow reader."""


class Reader(asyncio.Protocol):
    """One connection. Its log must be ``expected``, each event where its id says.

    ``problem`` is the first thing that was not as it should be. One that is
    ``slow`` does not read on after its first bytes until it is told to.
    """

    def __init__(self, request: bytes, expected: bytes, *, slow: bool) -> None:
        self.offset = 0
        self.complete = False
        self.problem: str | None = None
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self._request = request
        self._expected = expected
        self.slow = slow
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.slow:
            self._transport.pause_reading()
        self.answered.set()
        *blocks, self._pending = (self._pending + data).split(b"\n\n")
        for block in blocks:
            self._take(block)

    def connection_lost(self, error: Exception | None) -> None:
        self.answered.set()
        self.ended.set()

    def read_on(self) -> None:
        """Read what there is, to the end."""
        self.slow = False
        self._transport.resume_reading()

    def all_is_well(self) -> bool:
        """Whether the whole log has come, and the verdict after it."""
        return self.problem is None and self.complete and self.offset == len(self._expected)

    def __str__(self) -> str:
        return f"at {self.offset}, complete: {self.complete}, {self.problem}"

    def _take(self, block: bytes) -> None:
        if not self._in_body:
            head, _, block = block.partition(b"\r\n\r\n")
            self._in_body = True
            if b" 200 " not in head.splitlines()[0]:
                self._note(f"was answered {head!r}")
        found = _EVENT.fullmatch(block)
        if found is not None:  # else a comment
            self._take_event(int(found[1]), msgspec.json.decode(found[2]))

    def _take_event(self, offset: int, event: dict) -> None:
        if self.complete:
            self._note(f"{event['type']} after the end")
        if event["type"] == "log":
            text = event["data"].encode()
            if self._expected[self.offset : offset] != text:
                self._note(f"from {self.offset} to {offset} other bytes came")
        elif offset != self.offset:
            self._note(f"{event['type']} at {offset} after {self.offset}")
        self.offset = offset
        self.complete = event["type"] == "complete"

    def _note(self, problem: str) -> None:
        self.problem = self.problem or problem


class Crowd:
    """Readers of one job from its beginning, on one event loop."""

    def __init__(self, port: int, job_id: str, expected: bytes) -> None:
        self.readers: list[Reader] = []
        self._port = port
        self._expected = expected
        # HTTP/1.0, so that the stream comes as it is, without chunks.
        path = f"/jobs/{job_id}/stream?from_beginning=true"
        self._request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        self._places = asyncio.Semaphore(_BACKLOG)

    async def join(self, count: int, *, slow: int = 0) -> None:
        """Have ``count`` more readers, ``slow`` of them slow; return when all are answered."""
        await asyncio.gather(*(self._connect(slow=number < slow) for number in range(count)))

    async def quick_ended(self) -> None:
        """Wait until all that do not stand still have ended."""
        for reader in self.readers:
            if not reader.slow:
                await reader.ended.wait()

    async def finish(self) -> list[str]:
        """Have all of them read to the end; return who is not well then."""
        await self.quick_ended()
        for reader in self.readers:
            if reader.slow:
                reader.read_on()
        await self.quick_ended()
        return [str(reader) for reader in self.readers if not reader.all_is_well()]

    async def _connect(self, *, slow: bool) -> None:
        make = partial(Reader, self._request, self._expected, slow=slow)
        connection = socket.socket()
        connection.setblocking(False)
        if slow:  # else the kernel takes in a whole log for it
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)
        async with self._places:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, ("127.0.0.1", self._port))
            _, reader = await loop.create_connection(make, sock=connection)
            self.readers.append(reader)
            await reader.answered.wait()
