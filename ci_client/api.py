"""The session for ``asyncio``: the same calls as coroutines and asynchronous generators."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ci_client.config import DEFAULT_SERVER_URL
from ci_client.events import Event
from ci_client.server_state import ServerState
from ci_client.session import JobDict, Session
from ci_client.upload import Submission

if TYPE_CHECKING:
    from ci_client.job_query import Filter

T = TypeVar("T")


class CIClient:
    """A ``Session`` whose calls run in threads; use it in ``async with``, one task at a time.

    It takes the same options, and its methods the same arguments. A call that
    is cancelled ends in its thread too.
    """

    def __init__(
        self,
        server_url: str = DEFAULT_SERVER_URL,
        api_key: str | None = None,
        **options: Any,  # noqa: ANN401 -- those of Session
    ) -> None:
        self._session = Session(server_url, api_key, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        self._session.close()

    async def submit(self, submission: Submission) -> str:
        """Submit and return the job's id, once the job is durable."""
        return await self._call(self._session.submit, submission)

    def submit_streaming(self, submission: Submission) -> AsyncGenerator[Event, None]:
        """Submit and yield the job's events: its id first, ``complete`` last."""
        return self._iterate(self._session.submit_streaming(submission))

    def follow(
        self, job_id: str, *, from_beginning: bool = False, offset: int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of the job with this full id, ``complete`` last."""
        events = self._session.follow(job_id, from_beginning=from_beginning, offset=offset)
        return self._iterate(events)

    async def job(self, reference: str) -> JobDict:
        """Return the job that ``reference`` names: its id, a unique prefix, or ``last``."""
        return await self._call(self._session.job, reference)

    async def cancel(self, reference: str) -> JobDict:
        """Cancel a job; return it: ``cancelled``, or ``running`` while it is being stopped."""
        return await self._call(self._session.cancel, reference)

    async def retry(
        self,
        reference: str,
        options: Sequence[tuple[str, str]] = (),
        *,
        failed_only: bool = False,
    ) -> JobDict:
        """Queue the project of an ended job again; return the new job, once it is durable."""
        again = partial(self._session.retry, failed_only=failed_only)
        return await self._call(again, reference, options)

    async def jobs(self, limit: int | None = 100, **filters: "Filter") -> list[JobDict]:
        """Return at most ``limit`` jobs (None: all) that fit the filters, the newest first."""
        return await self._call(partial(self._session.jobs, limit, **filters))

    async def queue(self, limit: int | None = 100) -> JobDict:
        """Return the queue, at most ``limit`` that wait."""
        return await self._call(self._session.queue, limit)

    async def server_state(self) -> ServerState:
        """Return what the server says of itself."""
        return await self._call(self._session.server_state)

    def log(self, job_id: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the log so far, from a byte ``offset``, as it was written."""
        return self._iterate(self._session.log(job_id, offset))

    async def log_tail_offset(self, job_id: str, lines: int) -> int:
        """Return the byte offset at which the last ``lines`` lines of the log begin."""
        return await self._call(self._session.log_tail_offset, job_id, lines)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        step = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            with self._session.interrupted():
                await asyncio.gather(step, return_exceptions=True)
            raise

    async def _iterate(self, items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
        end = object()
        try:
            while (item := await self._call(next, items, end)) is not end:
                yield item
        finally:
            items.close()
