"""When queued jobs are going to start, as far as anyone can tell.

Pure: what is known comes in, and all times are seconds from now. A time that
nobody knows is infinite; whatever has to wait for it is unknown, too.
"""

import heapq
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

UNKNOWN = math.inf
"""A time that nobody can tell."""

Durations: TypeAlias = Mapping[tuple[str, str | None], Sequence[float]]
"""Seconds that jobs took, by organisation and project; under None those of all its projects."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A running job: its place is free after ``remaining`` seconds, 0 for at any moment."""

    remaining: float
    group: object = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A queued job that takes ``duration`` seconds and starts ``not_before`` so many.

    ``group``: what it belongs to, None for nothing. With ``yields`` it starts
    when none of its group runs, and none waits that is before it in the queue.
    ``owner``: whose it is, where that may run only so many at once.
    """

    duration: float
    not_before: float = 0.0
    group: object = None
    yields: bool = False
    owner: str = ""


def expected_starts(
    waiting: Sequence[Waiter],
    running: Sequence[Occupant],
    places: int,
    allowed: Mapping[str, int] = MappingProxyType({}),
) -> list[float]:
    """Return after how many seconds each of ``waiting`` starts, in their order.

    Each of ``places`` runs one job at a time. A place that is free takes the
    first job in the queue that may start. ``allowed``: of how many places each
    owner may have jobs at once, at least 1; others of all.
    """
    return _Simulation(waiting, running, places, allowed).run()


def typical_duration(durations: Durations, organisation: str, project: str) -> float | None:
    """Return the median of what jobs of a project took, else of its organisation's, else None."""
    known = durations.get((organisation, project)) or durations.get((organisation, None))
    return statistics.median(known) if known else None


def _latest(ends: Iterable[float], most: int) -> list[float]:
    """Return a heap of when ``most`` places are free, given when the jobs end that run."""
    occupied = sorted(max(0.0, end) for end in ends)
    free = [0.0] * max(0, most - len(occupied)) + occupied[max(0, len(occupied) - most) :]
    heapq.heapify(free)
    return free


@dataclass(slots=True)
class _Group:
    """Members of a group that have not started, in their order; ``free``: when none runs."""

    free: float = 0.0
    waiting: list[int] = field(default_factory=list)


class _Simulation:
    """The queue from now on, from start to start."""

    def __init__(
        self,
        waiting: Sequence[Waiter],
        running: Sequence[Occupant],
        places: int,
        allowed: Mapping[str, int],
    ) -> None:
        self._waiting = waiting
        self._allowed = allowed
        # When the jobs of an owner end that run, as many as it may have.
        self._ends: dict[str, list[float]] = {
            owner: _latest((job.remaining for job in running if job.owner == owner), most)
            for owner, most in allowed.items()
        }
        # More may run than there are places, once their number was lowered.
        occupied = sorted(max(0.0, job.remaining) for job in running)
        idle = [0.0] * max(0, places - len(occupied))
        self._free_at = [*idle, *occupied[max(0, len(occupied) - places) :]]
        heapq.heapify(self._free_at)
        self._starts = [UNKNOWN] * len(waiting)
        self._ready: list[int] = []
        self._held: list[tuple[float, int]] = []
        self._groups: dict[object, _Group] = {}
        for job in running:
            if job.group is not None:
                group = self._groups.setdefault(job.group, _Group())
                group.free = max(group.free, job.remaining)

    def run(self) -> list[float]:
        """Return when each job starts."""
        for index, job in enumerate(self._waiting):
            self._enter(index, job)
        now = 0.0
        while self._free_at and (self._ready or self._held):
            # A place may have been free for long when the first job comes that may start.
            now = max(now, self._free_at[0])
            if not self._ready:
                now = max(now, self._held[0][0])
            if math.isinf(now):
                break
            self._release(now)
            if self._ready:
                self._start(heapq.heappop(self._ready), now)
        return self._starts

    def _enter(self, index: int, job: Waiter) -> None:
        if job.group is not None:
            self._groups.setdefault(job.group, _Group()).waiting.append(index)
        if job.group is None or not job.yields:
            heapq.heappush(self._held, (max(0.0, job.not_before), index))
        elif self._groups[job.group].waiting[0] == index:
            self._let_go(self._groups[job.group], index)

    def _release(self, now: float) -> None:
        while self._held and self._held[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._held)[1])

    def _start(self, index: int, now: float) -> None:
        job, end = self._waiting[index], now + self._waiting[index].duration
        ends = self._ends.get(job.owner)
        if ends is not None:
            if ends[0] > now:
                heapq.heappush(self._held, (ends[0], index))
                return
            heapq.heapreplace(ends, end)
        self._starts[index] = now
        heapq.heapreplace(self._free_at, end)
        if job.group is None:
            return
        group = self._groups[job.group]
        group.free = max(group.free, end)
        was_first = group.waiting[0] == index
        group.waiting.remove(index)
        if was_first and group.waiting and self._waiting[group.waiting[0]].yields:
            self._let_go(group, group.waiting[0])

    def _let_go(self, group: _Group, index: int) -> None:
        """Have the first one of a group that waits start when none of the group runs."""
        not_before = max(group.free, self._waiting[index].not_before, 0.0)
        heapq.heappush(self._held, (not_before, index))
