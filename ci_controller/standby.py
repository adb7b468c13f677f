"""Standbys: containers started before their jobs come, so that a job need not wait for one.

What the pool holds follows from what the engine shows (``saw``) and from what
it did itself since; which ones there should be is planned like everything
else. A standby is used once, and one that nobody took when the server ends is
removed; what a crash leaves is found again by its key.
"""

import asyncio
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ci_common.backoff import Backoff
from ci_common.clock import Clock
from ci_common.errors import EngineError
from ci_common.executor import (
    ContainerSpec,
    ContainerState,
    Executor,
    ObservedContainer,
    StandbyCounts,
    StandbyExecutor,
)

_log = logging.getLogger(__name__)

_FAILURE_PAUSE = 30.0
"""Seconds for which a spec whose standby could not be launched gets none."""

_DEATH_PAUSE = Backoff(first=2.0, longest=_FAILURE_PAUSE)
"""How long a spec gets none when one standby after another ended before any was used."""

_MOST_SPECS = 8
"""Specs remembered as recently used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbySettings:
    """How many standbys to have for each spec in use, and how much memory they may be given.

    ``memory`` is in bytes and bounds the sum of the limits, not what an idle
    standby really takes, which is about a megabyte. ``refill_after``: seconds
    that a job has run, if it has not ended before, when the standby it took is
    replaced.
    """

    size: int = 1
    memory: int = 8 * 1024**3
    refill_after: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyView:
    """What planning must know: how many are ``wanted`` by key, and those it must leave alone.

    ``held``: names being launched or handed over. ``coming``: launches under
    way, by key.
    """

    wanted: Mapping[str, int] = field(default_factory=dict)
    coming: Mapping[str, int] = field(default_factory=dict)
    held: frozenset[str] = frozenset()


class StandbyPool:
    """The standbys of one controller. Used on one event loop.

    ``default`` is the spec that most jobs will have; it counts as used.
    """

    def __init__(
        self, executor: Executor, settings: StandbySettings, default: ContainerSpec, clock: Clock
    ) -> None:
        self._executor = executor if isinstance(executor, StandbyExecutor) else None
        self._settings = settings
        self._clock = clock
        self._specs: OrderedDict[str, ContainerSpec] = OrderedDict({default.key: default})
        self._ready: dict[str, str] = {}
        self._coming: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._taken: set[str] = set()
        self._given_up: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._dead: set[str] = set()
        self._deaths: Counter[str] = Counter()

    @property
    def ready(self) -> frozenset[str]:
        """The names of those that wait."""
        return frozenset(self._ready)

    def counts(self) -> StandbyCounts:
        """Return how many there are."""
        return StandbyCounts(ready=len(self._ready), launching=len(self._coming))

    def view(self) -> StandbyView:
        """Return the state of the pool, as a plan needs it."""
        return StandbyView(
            wanted=self._wanted(),
            coming=Counter(key for key, _ in self._coming.values()),
            held=frozenset(self._coming) | self._taken,
        )

    def saw(self, containers: Iterable[ObservedContainer], *, known: frozenset[str]) -> None:
        """Take note of what the engine shows; ``known`` was ``ready`` before it was asked."""
        seen = {each.name: each for each in containers if each.job_id is None}
        for name in known & self.ready:
            if name not in seen or seen[name].state is not ContainerState.RUNNING:
                del self._ready[name]
        for name, each in seen.items():
            if each.key in self._specs and each.state is ContainerState.RUNNING:
                self._offer(name, each.key)
        self._mourn({name: each.key for name, each in seen.items() if _has_ended(each)})
        # A name that was handed over is not forgotten while an old list may still show it.
        self._taken &= seen.keys()
        self._given_up &= seen.keys()

    async def take(self, name: str, spec: ContainerSpec) -> bool:
        """Give a standby of that spec a job's name; False when there is none to be had.

        Waits for one that is being launched, which is sooner there than another.
        Raises ``EngineError``.
        """
        self._use(spec)
        if self._executor is None:
            return False
        while (standby := await self._next(spec.key)) is not None:
            try:
                if await self._executor.take_standby(standby, name, spec):
                    del self._deaths[spec.key]
                    return True
                _log.info("standby %s cannot be used any more", standby)
                await self._executor.remove(standby)
            except BaseException:
                # The engine knows whether it still is one, and the next look asks it.
                self._taken.discard(standby)
                raise
        return False

    def fill(self, key: str) -> None:
        """Begin to launch a standby."""
        if self._executor is None or key not in self._specs:
            return
        name = self._executor.standby_name(secrets.token_hex(6))
        task = asyncio.create_task(self._launch(name, self._specs[key]), name=f"fill-{name}")
        self._coming[name] = (key, task)

        def over(task: asyncio.Task[None]) -> None:
            del self._coming[name]
            # Asked for, so that asyncio does not report it as forgotten: it is logged already.
            _ = task.cancelled() or task.exception()

        task.add_done_callback(over)

    def give_up(self, name: str) -> bool:
        """Have no job take a container that is to be removed; False when one has it already.

        A plan is carried out while jobs start: what was one too many when it was
        made may be in use by now. What is no standby can always be removed.
        """
        if name in self._taken or name in self._coming:
            return False
        self._ready.pop(name, None)
        self._given_up.add(name)
        return True

    async def drop(self, image: str) -> None:
        """Give up the standbys of an image that is to go. Raises ``EngineError``."""
        keys = {key for key, spec in self._specs.items() if spec.image == image}
        for key in keys:
            del self._specs[key]
        for name in [name for name, key in self._ready.items() if key in keys]:
            del self._ready[name]
            if self._executor is not None:
                await self._executor.remove(name)

    async def settled(self) -> None:
        """Return once no launch is under way."""
        coming = [task for _, task in self._coming.values()]
        await asyncio.gather(*coming, return_exceptions=True)

    async def close(self) -> None:
        """Remove the standbys. What fails is left to the next controller."""
        await self.settled()
        if self._executor is not None:
            removals = [self._executor.remove(name) for name in self._ready]
            await asyncio.gather(*removals, return_exceptions=True)
        self._ready.clear()

    def _use(self, spec: ContainerSpec) -> None:
        self._specs[spec.key] = spec
        self._specs.move_to_end(spec.key)
        while len(self._specs) > _MOST_SPECS:
            self._specs.popitem(last=False)

    def _wanted(self) -> dict[str, int]:
        if self._executor is None:
            return {}
        wanted: dict[str, int] = {}
        left = self._settings.memory
        uptime = self._clock.now().uptime
        for key, spec in reversed(self._specs.items()):
            count = min(self._settings.size, left // spec.memory)
            if count and uptime >= self._not_before.get(key, 0.0):
                wanted[key] = count
                left -= count * spec.memory
        return wanted

    def _mourn(self, dead: Mapping[str, str]) -> None:
        """Pause with specs whose standbys end by themselves, as they do in an image without tar.

        The first is replaced at once: it may have been the engine, or somebody's hand.
        """
        for key in {key for name, key in dead.items() if name not in self._dead}:
            self._deaths[key] += 1
            if self._deaths[key] > 1:
                pause = _DEATH_PAUSE.ceiling(self._deaths[key] - 1)
                self._not_before[key] = self._clock.now().uptime + pause
        self._dead = set(dead)

    def _offer(self, name: str, key: str) -> None:
        if not (name in self._taken or name in self._coming or name in self._given_up):
            self._ready[name] = key

    async def _next(self, key: str) -> str | None:
        for name, its_key in self._ready.items():
            if its_key == key:
                del self._ready[name]
                self._taken.add(name)
                return name
        for name, (its_key, task) in self._coming.items():
            if its_key == key and name not in self._taken:
                self._taken.add(name)
                # Shielded: who waits may be cancelled, the standby is wanted all the same.
                try:
                    await asyncio.shield(task)
                except EngineError:
                    return None
                except asyncio.CancelledError:
                    self._taken.discard(name)
                    raise
                return name
        return None

    async def _launch(self, name: str, spec: ContainerSpec) -> None:
        assert self._executor is not None  # noqa: S101 -- fill() looked
        try:
            await self._executor.launch(name, spec)
        except EngineError as error:
            _log.warning("no standby of %s for a while: %s", spec.image, error.detail)
            self._not_before[spec.key] = self._clock.now().uptime + _FAILURE_PAUSE
            raise
        if name not in self._taken:
            self._ready[name] = spec.key


def _has_ended(container: ObservedContainer) -> bool:
    return container.state is ContainerState.EXITED
