"""An event loop in which nothing depends on real time or on threads.

Callbacks run in the order they were scheduled in, time stands still while any
is ready, and work for threads is done on the loop, one piece after the other.
So a run is a function of what it is asked to do.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fakes.clock import FakeClock
from tests.simulation.process import PROCESS, Killed

_MOST_TURNS = 20_000
"""Turns of the loop without time passing after which something goes round in circles."""


class Livelock(AssertionError):
    """The tasks keep each other busy and never wait."""


class _Time:
    """In place of a selector: where a loop would wait, the clock is moved."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout == 0:
            self._turns += 1
            if self._turns > _MOST_TURNS:
                raise Livelock(f"busy for {_MOST_TURNS} turns at {self._loop.time()}")
            return []
        self._turns = 0
        self._loop.wait_for_next(timeout)
        return []

    def close(self) -> None:
        return None


class SimulatedLoop(asyncio.BaseEventLoop):
    """Its time moves with the clock. ``errors`` collects what tasks left unhandled."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._selector = _Time(self)
        # Not the clock's uptime, which begins anew when the machine does.
        self._now = 0.0
        self._horizon = 0.0
        self.errors: list[str] = []
        self.set_exception_handler(self._note_error)
        self.set_task_factory(_task_of_process)

    def time(self) -> float:
        return self._now

    def run(self, seconds: float = 0.0) -> None:
        """Run what is ready, and what becomes ready within that time, to the end of it."""
        self._horizon = self._now + seconds
        self.run_forever()

    def wait_for_next(self, timeout: float | None) -> None:
        """Move the clock by ``timeout``, or to the end of this run if that comes first."""
        left = max(0.0, self._horizon - self._now)
        ends = timeout is None or timeout > left
        step = left if ends else timeout
        self._now += step
        self._clock.advance(step)
        if ends:
            self.stop()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Do the work in a turn of its own. As with a thread, cancelling does not stop it."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001 -- as a thread's future has it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_soon(work)
        return future

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Killed):
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list, "there are no files or sockets here"

    def _write_to_self(self) -> None:
        """Called from the loop's own thread only, which is awake."""


def _task_of_process(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
    task = asyncio.Task(coro, loop=loop, **options)
    process = PROCESS.get()
    if process is not None:
        process.owns(task)
    return task
