"""A server process that can be killed between any two of its acts.

Everything a process does to the world outside goes through *points*: before
and after each statement, each call of the engine, each write to a file. It is
killed at a point; from then on none of its acts has any effect.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)
"""The process that a task belongs to, as its children do."""


class Killed(BaseException):
    """This process is dead; nothing of it may go on."""


class Process:
    """What is to be taken away when it dies, and when it is going to.

    ``trace`` gets a line for each point. ``fuse``: points left until it is
    killed, None for no such plan.
    """

    def __init__(self, number: int, trace: Callable[[str], None]) -> None:
        self.number = number
        self.dead = False
        self.fuse: int | None = None
        self._trace = trace
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._on_death: list[Callable[[], object]] = []

    def owns(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def on_death(self, act: Callable[[], object]) -> None:
        """Have the kernel do that when the process dies, such as closing a file."""
        self._on_death.append(act)

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        if self.dead:
            raise Killed
        self._trace(f"{self.number}: {name}")
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self._trace(f"{self.number}: killed here")
                self.die()
                raise Killed

    def die(self) -> None:
        """Be dead at once; the kernel clears up behind it."""
        if not self.dead:
            self.dead = True
            for act in self._on_death:
                act()
            for task in list(self._tasks):
                task.cancel()


class Handle:
    """An object as a process uses it: a point before and after each call of a method.

    ``made``: names of methods whose result is such an object too, by the
    function that closes it when the process dies. ``after`` is told of each call.
    """

    def __init__(
        self,
        target: Any,
        process: Process,
        label: str,
        *,
        made: dict[str, Callable[[Any], object]] | None = None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self._target = target
        self._process = process
        self._label = label
        self._made = made or {}
        self._after = after

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            self._process.point(f"{self._label}.{name}")
            result = value(*args, **options)
            if name in self._made:
                self._process.on_death(partial(self._made[name], result))
                result = Handle(result, self._process, f"{self._label}'s", after=self._after)
            self._after()
            self._process.point(f"{self._label}.{name} done")
            return result

        return call
