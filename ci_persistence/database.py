"""One SQLite file, opened by aiosqlite: one locked writer, a few readers.

Each connection is one thread. Writes go through ``transaction``, reads through
``fetch_all`` and ``fetch_one``; in WAL mode neither waits for the other, and a
read sees all that was committed before it began.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from ci_common.errors import DatabaseUnusable, StorageBusy
from ci_persistence.disk import is_disk_full
from ci_persistence.errors import no_room, translated, unreachable
from ci_persistence.inspection import inspect
from ci_persistence.schema import load_migrations, upgrade

DEFAULT_BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write."""

_READERS = 3

# The journal's size limit is in bytes; a negative cache size is in KiB.
_PRAGMAS = (
    # NORMAL may lose the last commits when the power goes; an accepted job must not be lost.
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -8192",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
    # With a memory map a failing disk is a SIGBUS that ends the process; read() gives an error.
    "PRAGMA mmap_size = 0",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON",)

Parameters = Mapping[str, Any] | Sequence[Any]
T = TypeVar("T")


class Transaction:
    """The writer, for the length of one transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement that returns no rows; return how many rows it changed."""
        cursor = await self._connection.execute(sql, parameters)
        return cursor.rowcount

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run a statement that returns no rows once for each of ``rows``."""
        await self._connection.executemany(sql, rows)

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """Return the first row, None if there is none."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> Sequence[sqlite3.Row]:
        """Return all rows."""
        return await _fetch(self._connection, sql, parameters)


class Database:
    """See the module. ``busy_timeout`` is in seconds.

    Every method may raise ``StorageBusy``, ``DatabaseFull`` and ``DatabaseUnusable``.
    """

    def __init__(self, path: Path, *, busy_timeout: float = DEFAULT_BUSY_TIMEOUT) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._write_lock = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._writer: aiosqlite.Connection | None = None
        self._readers: list[aiosqlite.Connection] = []
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()

    async def open(self) -> None:
        """Check the file, bring its schema up to date, connect. Idempotent.

        Raises:
            DatabaseUnusable: not ours, newer, or damaged; the file is left as it was.

        """
        async with self._opening:
            if self._writer is not None:
                return
            with translated(self._path):
                await asyncio.to_thread(_prepare, self._path, self._busy_timeout)
                await _to_the_end(self._connect())

    async def close(self) -> None:
        """Wait for the transaction under way, then close every connection. Idempotent."""
        await _to_the_end(self._close())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Hold a write transaction: committed at the end, rolled back if anything is raised.

        Waits at most ``busy_timeout`` for the tasks before it and as long again
        for other processes. A cancelled task lets go only when the transaction
        has ended, one way or the other.
        """
        async with self._locked_writer() as writer:
            try:
                await _fetch(writer, "BEGIN IMMEDIATE")
                yield Transaction(writer)
                await _fetch(writer, "COMMIT")
            except BaseException:
                # A cancelled statement goes on in the connection's thread. This comes after
                # it in the same thread, and does nothing if no transaction is open by then.
                await _to_the_end(writer.rollback())
                raise

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> Sequence[sqlite3.Row]:
        """Return all rows of a query, as of one moment."""
        self._require_open()
        with translated(self._path):
            idle = self._idle
            reader = await idle.get()
            try:
                self._require_open()
                return await _fetch(reader, sql, parameters)
            finally:
                # After a cancellation the thread may still be reading. The next user's
                # query queues up behind that; it cannot see the leftovers.
                idle.put_nowait(reader)

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """Return the first row, None if there is none. The query should find one at most."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    @asynccontextmanager
    async def _locked_writer(self) -> AsyncIterator[aiosqlite.Connection]:
        try:
            async with asyncio.timeout(self._busy_timeout):
                await self._write_lock.acquire()
        except TimeoutError:
            raise StorageBusy(
                f"{self._path}: too many writes are waiting", hint="try again in a moment"
            ) from None
        try:
            with translated(self._path):
                yield self._require_open()
        finally:
            self._write_lock.release()

    def _require_open(self) -> aiosqlite.Connection:
        if self._writer is None:
            raise DatabaseUnusable(f"{self._path} is not open", hint="call initialize() first")
        return self._writer

    async def _connect(self) -> None:
        try:
            for _ in range(_READERS):
                self._readers.append(await self._connection(*_PRAGMAS, *_READER_PRAGMAS))
            self._writer = await self._connection(*_PRAGMAS)
        except BaseException:
            await self._disconnect()
            raise
        for reader in self._readers:
            self._idle.put_nowait(reader)

    async def _connection(self, *pragmas: str) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            self._path, isolation_level=None, timeout=self._busy_timeout
        )
        try:
            connection.row_factory = sqlite3.Row
            for pragma in pragmas:
                await _fetch(connection, pragma)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _close(self) -> None:
        async with self._opening, self._write_lock:
            await self._disconnect()

    async def _disconnect(self) -> None:
        # An unclosed connection's thread would keep the process from exiting. The writer
        # goes last: the last one out checkpoints, which a reader may not.
        connections = [*self._readers, *([self._writer] if self._writer else [])]
        self._readers, self._writer = [], None
        self._idle = asyncio.LifoQueue()
        for connection in connections:
            await connection.close()


def _prepare(path: Path, busy_timeout: float) -> None:
    migrations = load_migrations()
    try:
        inspect(path, migrations, busy_timeout=busy_timeout)
        upgrade(path, migrations, busy_timeout=busy_timeout)
    except OSError as error:
        if is_disk_full(error):
            raise no_room(path) from error
        raise unreachable(path, error) from error


async def _fetch(
    connection: aiosqlite.Connection, sql: str, parameters: Parameters = ()
) -> Sequence[sqlite3.Row]:
    # One step for the connection's thread: no cancellation can leave a query half read,
    # which would keep its snapshot, and with it the write-ahead log, alive.
    return list(await connection.execute_fetchall(sql, parameters))


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end; a cancellation in the meantime is raised afterwards."""
    task = asyncio.create_task(work, name="database")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not report it as forgotten
        raise cancelled
    return task.result()
