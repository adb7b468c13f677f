"""Calls to the engine from asyncio: bounded in number, each with a deadline."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from ci_common.errors import CIError
from ci_controller.docker_engine.client import ClientPool, EngineClient
from ci_controller.docker_engine.faults import SDK_FAULTS, engine_fault, engine_unavailable
from ci_controller.threads import run_in_thread

T = TypeVar("T")

_SLACK = 1.0
"""Seconds that a call may take beyond its socket's own deadline, which names the cause better."""


class EngineCalls:
    """Runs what blocks in threads. ``timeout`` seconds bound a call; at most ``limit`` at once.

    A call that is given up keeps its place until its thread is done: an engine
    that hangs is not sent more and more of them.
    """

    def __init__(self, *, timeout: float, limit: int) -> None:
        self.timeout = timeout
        self.clients = ClientPool(timeout=timeout)
        self._places = asyncio.Semaphore(limit)

    async def call(self, work: Callable[[EngineClient], T], about: str) -> T:
        """Return ``work(client)``; ``about`` says in an error what was being done.

        Raises:
            EngineUnavailable: no answer in time, or no connection.
            ContainerGone: the engine knows no such thing.
            EngineError: another refusal.

        """
        return await self._run(lambda: self._with_client(work), about, places=self._places)

    async def call_long(
        self,
        work: Callable[[EngineClient], T],
        about: str,
        *,
        timeout: float,  # noqa: ASYNC109 -- the call's own length
    ) -> T:
        """Do the same for a call that takes ``timeout`` seconds by its nature, beyond the limit."""
        return await self._run(lambda: self._with_client(work), about, longer=timeout)

    async def call_anew(self, work: Callable[[EngineClient], T], about: str) -> T:
        """Do the same on a new connection: an engine that is ending answers only on old ones."""
        return await self._run(lambda: self._with_new_client(work), about, places=self._places)

    async def open_stream(
        self, connect: Callable[[ClientPool], T], about: str, *, discard: Callable[[T], None]
    ) -> T:
        """Return the stream that ``connect`` opens; one opened too late goes to ``discard``."""
        return await self._run(
            lambda: connect(self.clients), about, discard=discard, places=self._places
        )

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        self.clients.close()

    async def _run(
        self,
        work: Callable[[], T],
        about: str,
        *,
        longer: float = 0.0,
        discard: Callable[[T], object] = lambda _: None,
        places: asyncio.Semaphore | None = None,
    ) -> T:
        limit = self.timeout + longer + _SLACK
        ended: Callable[[], object] = lambda: None  # noqa: E731
        try:
            async with asyncio.timeout(limit):
                if places is not None:
                    await places.acquire()
                    ended = places.release
                return await run_in_thread(work, name=about, discard=discard, ended=ended)
        except SDK_FAULTS as error:
            # TimeoutError is an OSError, so the deadline arrives here too.
            raise self._fault(error, about, limit) from error

    def _with_client(self, work: Callable[[EngineClient], T]) -> T:
        with self.clients.borrow() as client:
            return work(client)

    def _with_new_client(self, work: Callable[[EngineClient], T]) -> T:
        with closing(self.clients.make()) as client:
            return work(client)

    def _fault(self, error: Exception, about: str, limit: float) -> CIError:
        if type(error) is TimeoutError:
            return engine_unavailable(f"{about} took more than {limit:g} s")
        return engine_fault(error, about)
