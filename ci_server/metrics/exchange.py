"""How the workers of one server tell each other what they count.

Each holds the lock of a number and listens on a Unix socket of that name; who
is asked by a scraper asks the others. A number is free again when its holder
has died, so there are never more series than there were workers at once, and a
new worker's counts are to a scraper those of one that was restarted.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import msgspec

from ci_server.metrics.families import Family, decode, encode

_PATIENCE = 4.0
"""Seconds in which another worker answers, or is left out: scrapers wait ten."""

_log = logging.getLogger(__name__)


class Exchange:
    """One worker's place among the others of a folder. ``tell`` returns its families."""

    def __init__(self, folder: Path, tell: Callable[[], Sequence[Family]]) -> None:
        self.worker = "1"
        self._folder = folder
        self._tell = tell
        self._lock: int | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Take a number and begin to answer. What fails is logged: metrics stop nobody's work."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_number()
            socket = self._socket_of(self.worker)
            socket.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._answer, str(socket))
        except OSError as error:
            _log.warning("other workers do not get this one's metrics: %s", error)

    async def close(self) -> None:
        """Give the number back. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket_of(self.worker).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def ask(self) -> tuple[list[Family], int]:
        """Return the families of all other workers, and how many of them did not answer."""
        mine = self._socket_of(self.worker)
        others = [path for path in self._folder.glob("worker-*.sock") if path != mine]
        answers = await asyncio.gather(*map(_ask, others))
        families = [family for answer in answers if answer for family in answer]
        return families, sum(answer is None for answer in answers)

    def _take_number(self) -> None:
        for number in count(1):
            path = self._folder / f"worker-{number}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self.worker, self._lock = str(number), descriptor
            return

    def _socket_of(self, worker: str) -> Path:
        return self._folder / f"worker-{worker}.sock"

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(encode(self._tell()))
            await writer.drain()
        writer.close()


async def _ask(path: Path) -> tuple[Family, ...] | None:
    """Return what a worker counts: nothing if it is gone, None if it does not answer."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                return decode(await reader.read(-1))
            finally:
                writer.close()
    except (ConnectionRefusedError, FileNotFoundError):
        return ()  # it died, or ended just now
    except (OSError, msgspec.DecodeError) as error:
        _log.warning(
            "%s does not tell its metrics: %s", path.stem, str(error) or "no answer in time"
        )
        return None
