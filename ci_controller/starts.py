"""Jobs on their way into a container, and how a start is called off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CalledOff(Exception):
    """The start was called off."""


class Starts:
    """The starts under way in this process. Used on one event loop."""

    def __init__(self) -> None:
        self._limits: dict[str, asyncio.Timeout] = {}

    @property
    def job_ids(self) -> frozenset[str]:
        """Jobs that are being brought into a container, but for those called off."""
        return frozenset(self._limits)

    @asynccontextmanager
    async def of(self, job_id: str) -> AsyncIterator[None]:
        """Let others call off what a ``with`` block does, by cancelling what it waits for.

        Raises:
            CalledOff: somebody did, and the block did not come to its end before.

        """
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits[job_id] = limit
                yield
        except TimeoutError as error:
            if limit.expired():
                raise CalledOff from error
            raise
        finally:
            self._limits.pop(job_id, None)

    def call_off(self, job_id: str) -> None:
        """End the start of a job at once. Does nothing when there is none."""
        limit = self._limits.pop(job_id, None)
        if limit is not None:
            limit.reschedule(asyncio.get_running_loop().time())
