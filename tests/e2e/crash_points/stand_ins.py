"""Stand-ins for the parts of a server: they do what they stand for, and may end the process on it.

The path of a job is made of calls through the protocols of ``ci_common``. A
stand-in has the members of a protocol and passes each call on; what comes back
(or goes in) by a protocol of the table gets a stand-in as well.
"""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, get_type_hints

from ci_common.executor import Executor

BEFORE, DURING, AFTER = "before", "during", "after"


class Point(NamedTuple):
    """A crash point: ``moment`` of the ``nth`` call of ``step``, as ``JobRepository.add``."""

    step: str
    moment: str = AFTER
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.moment} {self.step}" + (f":{self.nth}" if self.nth > 1 else "")

    @classmethod
    def parse(cls, text: str) -> "Point":
        moment, _, rest = text.partition(" ")
        step, _, nth = rest.partition(":")
        return cls(step, moment, int(nth or 1))


class Tripwire:
    """Ends the process with SIGKILL when it comes to the point. For any thread."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._left = point.nth
        self._lock = threading.Lock()

    def awaits(self, moment: str, step: str) -> bool:
        return (moment, step) == (self._point.moment, self._point.step)

    def reached(self, moment: str, step: str) -> None:
        if not self.awaits(moment, step):
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def members_of(protocol: type) -> dict[str, Any]:
    """Return what a protocol itself declares, by name: functions, properties, attributes' types."""
    declared = {**inspect.get_annotations(protocol, eval_str=True), **vars(protocol)}
    return {
        name: member
        for name, member in declared.items()
        if name == "__iter__" or not name.startswith("_")
    }


def stand_in(target: Any, protocol: type, wire: Tripwire, known: frozenset[type]) -> Any:
    """Return a stand-in for ``target``; ``known`` are the protocols that get one."""
    return _class_of(protocol, known)(target, wire)


class _StandIn:
    def __init__(self, target: Any, wire: Tripwire) -> None:
        self.target = target
        self.wire = wire


@cache
def _class_of(protocol: type, known: frozenset[type]) -> type[_StandIn]:
    members = {}
    for owner in reversed(protocol.__mro__):
        if owner in known:
            for name, member in members_of(owner).items():
                members[name] = _stand_in_for(f"{owner.__name__}.{name}", name, member, known)
    return type(f"{protocol.__name__}StandIn", (_StandIn,), members)


def _stand_in_for(step: str, name: str, member: Any, known: frozenset[type]) -> Any:
    if name == "__iter__":
        return _iteration(step)
    if isinstance(member, property):
        return _attribute(name, get_type_hints(member.fget)["return"], known)
    if not inspect.isfunction(member):
        return _attribute(name, member, known)
    hints = get_type_hints(member)
    names = list(inspect.signature(member).parameters)[1:]

    def arguments(own: _StandIn, given: tuple[Any, ...]) -> list[Any]:
        return [
            _dressed(value, hints.get(parameter), own.wire, known)
            for parameter, value in zip(names, given, strict=False)
        ]

    def result(own: _StandIn, value: Any) -> Any:
        return _dressed(value, hints["return"], own.wire, known)

    make = _coroutine if inspect.iscoroutinefunction(member) else _call
    return make(step, name, arguments, result)


def _dressed(value: Any, hint: Any, wire: Tripwire, known: frozenset[type]) -> Any:
    return stand_in(value, hint, wire, known) if inspect.isclass(hint) and hint in known else value


def _attribute(name: str, hint: Any, known: frozenset[type]) -> property:
    return property(lambda own: _dressed(getattr(own.target, name), hint, own.wire, known))


def _iteration(step: str) -> Callable[[Any], Iterator[Any]]:
    def iterate(self: _StandIn) -> Iterator[Any]:
        for item in self.target:
            yield item
            self.wire.reached(DURING, step)
        self.wire.reached(AFTER, step)

    return iterate


def _call(step: str, name: str, arguments: Any, result: Any) -> Callable[..., Any]:
    def call(self: _StandIn, *given: Any, **named: Any) -> Any:
        self.wire.reached(BEFORE, step)
        value = getattr(self.target, name)(*arguments(self, given), **named)
        self.wire.reached(AFTER, step)
        return result(self, value)

    return call


def _coroutine(step: str, name: str, arguments: Any, result: Any) -> Callable[..., Awaitable[Any]]:
    async def call(self: _StandIn, *given: Any, **named: Any) -> Any:
        self.wire.reached(BEFORE, step)
        work = getattr(self.target, name)(*arguments(self, given), **named)
        if self.wire.awaits(DURING, step):
            task = asyncio.ensure_future(work)
            await BEGUN[step](self.target, given)
            self.wire.reached(DURING, step)
            work = task
        value = await work
        self.wire.reached(AFTER, step)
        return result(self, value)

    return call


async def _container_is_there(executor: Executor, given: tuple[Any, ...]) -> None:
    seen: frozenset[str] = frozenset()
    while given[0] not in seen:
        seen = frozenset(each.name for each in await executor.observe())


BEGUN = {"Executor.launch": _container_is_there}
"""By step with a point in its middle: what returns when the engine shows that it has begun."""
