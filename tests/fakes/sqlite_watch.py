"""What SQLite does for a repository: counted, never timed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ci_persistence.jobs import SQLiteJobRepository

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")


class Watch:
    """The statements that ran, values in place, and the steps of SQLite's machine."""

    def __init__(self) -> None:
        self.steps = 0
        self.statements: list[str] = []

    def step(self) -> int:
        self.steps += 1
        return 0

    @property
    def queries(self) -> list[str]:
        """The statements but for those that begin and end transactions."""
        return [each for each in self.statements if not each.startswith(_TRANSACTION)]

    @property
    def commits(self) -> int:
        """How many transactions were made durable."""
        return self.statements.count("COMMIT")


@asynccontextmanager
async def watched(repository: SQLiteJobRepository) -> AsyncIterator[Watch]:
    """Watch every connection of a repository for the length of the block."""
    watch = Watch()
    database = repository._database
    connections = (database._writer, *database._readers)
    for connection in connections:
        await connection.set_progress_handler(watch.step, 1)
        await connection.set_trace_callback(watch.statements.append)
    try:
        yield watch
    finally:
        for connection in connections:
            await connection.set_progress_handler(None, 0)
            await connection.set_trace_callback(None)
