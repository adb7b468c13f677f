"""Real SQLite connections, whose statements run on the simulated loop instead of in threads."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.simulation.disk import Disk
from tests.simulation.process import PROCESS, Killed, Process

_RETRY = 0.1
"""Seconds after which a connection looks again whether the database is still locked."""


class SimulatedConnection:
    """What ``Database`` uses of ``aiosqlite.Connection``.

    As there, statements of one connection run one after the other, and one that
    was asked for runs even if whoever asked was cancelled. When its process
    dies the connection is cut: what was committed stays, all else is undone.
    """

    def __init__(
        self, path: str | Path, process: Process | None, busy_timeout: float, disk: Disk
    ) -> None:
        # A process may die in the middle of a thread's work, and is closed there.
        self._connection = sqlite3.connect(
            path, isolation_level=None, timeout=0, check_same_thread=False
        )
        self._process = process
        self._disk = disk
        self._busy_timeout = busy_timeout
        self._queue: deque[tuple[str, Callable[[], Any], asyncio.Future[Any], float]] = deque()
        if process is not None:
            process.on_death(self._connection.close)

    @property
    def row_factory(self) -> Any:
        return self._connection.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._connection.row_factory = factory

    async def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return await self._do(sql, lambda: self._connection.execute(sql, parameters))

    async def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        return await self._do(sql, lambda: self._connection.executemany(sql, rows))

    async def execute_fetchall(self, sql: str, parameters: Any = ()) -> list[Any]:
        return await self._do(sql, lambda: self._connection.execute(sql, parameters).fetchall())

    async def rollback(self) -> None:
        await self._do("ROLLBACK", self._connection.rollback)

    async def close(self) -> None:
        await self._do("close", self._connection.close)

    def _do(self, sql: str, work: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.append((sql, work, future, loop.time() + self._busy_timeout))
        if len(self._queue) == 1:
            loop.call_soon(self._next)
        return future

    def _next(self) -> None:
        sql, work, future, deadline = self._queue[0]
        loop = future.get_loop()
        try:
            self._point(sql.partition(" WHERE")[0][:60])
            self._disk.require_room_for(sql)
            result = work()
            self._point("… done")
        except BaseException as error:  # noqa: BLE001 -- it is whoever asked that it is for
            if _is_busy(error) and loop.time() < deadline:
                loop.call_later(_RETRY, self._next)
                return
            if not future.done():
                future.set_exception(error)
            # Asked for: nobody may be left who does.
            _ = future.cancelled() or future.exception()
        else:
            if not future.done():
                future.set_result(result)
        self._queue.popleft()
        if self._queue:
            loop.call_soon(self._next)

    def _point(self, name: str) -> None:
        if self._process is not None:
            self._process.point(f"sql {name}")


def _is_busy(error: BaseException) -> bool:
    return not isinstance(error, Killed) and (
        getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY
    )


@contextmanager
def simulated_connections(disk: Disk) -> Iterator[None]:
    """Have databases that are opened in the block use these connections, and that disk."""

    async def connect(path: str | Path, **options: Any) -> Any:
        return SimulatedConnection(path, PROCESS.get(), options["timeout"], disk)

    with patch("ci_persistence.database.aiosqlite.connect", connect):
        yield
