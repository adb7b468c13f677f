"""A network that fails: a proxy that cuts, resets and stalls the connections through it."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from enum import Enum

_PIECE = 16 * 1024


class Fault(Enum):
    """What becomes of a connection once it has carried its bytes."""

    NONE = "none"
    CUT = "cut"
    RESET = "reset"
    STALL = "stall"


class FaultyProxy:
    """Passes connections on to ``port``; some end after at most ``most_bytes`` of the answer.

    ``seed`` decides which, and how. ``faults`` counts them.
    """

    def __init__(self, port: int, *, seed: int, most_bytes: int) -> None:
        self._server_port = port
        self._random = random.Random(seed)
        self._most_bytes = most_bytes
        self.faults = dict.fromkeys(Fault, 0)
        self.port = 0
        self._carrying: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyProxy"]:
        """Accept connections on a port of this machine until the block ends."""
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1000)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            for task in self._carrying:
                task.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)
            await asyncio.sleep(0)  # for the last of them to be closed

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer), name="carry")
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._random.choice(list(Fault))
        limit = None if fault is Fault.NONE else self._random.randint(0, self._most_bytes)
        self.faults[fault] += 1
        async with _closing(writer):
            there, answer = await asyncio.open_connection("127.0.0.1", self._server_port)
            async with _closing(answer):
                asking = asyncio.create_task(_copy(reader, answer), name="ask")
                try:
                    await _copy(there, writer, limit)
                    if fault is Fault.STALL:
                        await asking  # until the client has had enough
                    if fault is Fault.RESET:
                        _reset(writer)
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None
) -> None:
    with contextlib.suppress(ConnectionError):
        while limit is None or limit > 0:
            data = await reader.read(_PIECE if limit is None else min(_PIECE, limit))
            if not data:
                return
            writer.write(data)
            await writer.drain()
            limit = None if limit is None else limit - len(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end with RST, as when the other machine has crashed."""
    connection: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the client was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
