"""Which snapshots of dependencies can be used, who makes one, and which are to go.

Of all jobs that need a snapshot that is not there one makes it, and the others
wait for it. Used on one event loop.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from ci_common.clock import Clock
from ci_common.errors import CIError
from ci_common.executor import Executor, SnapshotExecutor
from ci_common.snapshots import Snapshot, SnapshotEngine, SnapshotNote, SnapshotStore
from ci_controller.standby import StandbyPool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSettings:
    """What snapshots may take.

    ``budget``: bytes of all of them on disk, 0 for none. ``max_age``: seconds
    after which one is made anew, since what requirements mean changes with time.
    """

    budget: int = 10 * 1024**3
    max_age: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an installation that was done. ``empty``: it had nothing to install."""

    made_at: datetime
    empty: bool = False


class Making:
    """A key that a job (or nobody's, when ``owner`` is empty) is at work on."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._waiting: dict[str, asyncio.Event] = {}

    async def wait(self, job_id: str) -> None:
        """Return when the work has ended, or the waiting job has been woken."""
        event = self._waiting.setdefault(job_id, asyncio.Event())
        try:
            await event.wait()
        finally:
            self._waiting.pop(job_id, None)

    def wake(self, job_id: str | None = None) -> None:
        """Wake one waiting job, or all of them."""
        for waiting, event in self._waiting.items():
            if job_id in (None, waiting):
                event.set()


class Snapshots:
    """The snapshots of one controller."""

    def __init__(
        self,
        executor: Executor,
        store: SnapshotStore,
        standbys: StandbyPool,
        settings: SnapshotSettings,
        clock: Clock,
    ) -> None:
        self._engine = executor.snapshots if isinstance(executor, SnapshotExecutor) else None
        self._store = store
        self._standbys = standbys
        self._settings = settings
        self._clock = clock
        self._making: dict[str, Making] = {}
        self._starting: list[str] = []
        self._due = True
        self._more_to_tidy = False

    @property
    def enabled(self) -> bool:
        """Whether snapshots are made and used here."""
        return self._engine is not None and self._settings.budget > 0

    @property
    def engine(self) -> SnapshotEngine:
        """What keeps them. Only for those who know that there is one."""
        assert self._engine is not None  # noqa: S101 -- callers looked
        return self._engine

    async def find(self, key: str) -> Kept | None:
        """Return what an installation came to, if it can still be relied on."""
        note = await self._store.get(key)
        if note is not None and note.retired:
            return None
        if note is not None and note.empty_since is not None:
            kept = Kept(note.empty_since, empty=True)
        elif (made_at := await self.engine.made_at(key)) is not None:
            kept = Kept(made_at)
        else:
            return None
        return kept if kept.made_at >= self._oldest() else None

    async def made(self, key: str, *, empty: bool = False) -> None:
        """Note an installation that was done."""
        await self._store.made(key, now=self._clock.now().wall, empty=empty)
        self._due = True

    async def used(self, key: str) -> None:
        """Note that a job started from a snapshot. What cannot be noted is let go."""
        try:
            await self._store.used(key, now=self._clock.now().wall)
        except CIError as error:
            _log.warning("the use of a snapshot was not noted: %s", error.detail)

    def age(self, kept: Kept) -> timedelta:
        """Return how long ago an installation was done."""
        return self._clock.now().wall - kept.made_at

    def at_work(self, key: str) -> Making | None:
        """Return who works on a key; None when nobody does."""
        return self._making.get(key)

    @contextmanager
    def making(self, key: str, owner: str = "") -> Iterator[None]:
        """Be the only one to work on a key, which nobody may work on yet."""
        assert key not in self._making  # noqa: S101 -- callers looked, and did not await since
        self._making[key] = Making(owner)
        try:
            yield
        finally:
            self._making.pop(key).wake()

    @contextmanager
    def starting(self, key: str) -> Iterator[None]:
        """Keep a snapshot from being removed while a container is made from it."""
        self._starting.append(key)
        try:
            yield
        finally:
            self._starting.remove(key)

    def wake(self, job_id: str) -> None:
        """Have a job that waits for another's installation look around."""
        for making in self._making.values():
            making.wake(job_id)

    def job_ended(self) -> None:
        """Take note that a container is gone, which may have kept a snapshot from being removed."""
        self._due |= self._more_to_tidy

    @property
    def untidy(self) -> bool:
        """Whether there may be something to tidy."""
        return self._due and self._engine is not None

    def look_again(self) -> None:
        """Have ``tidy`` called."""
        self._due = True

    async def tidy(self) -> None:
        """Remove what is not to be used again and what is over the budget. Raises ``CIError``."""
        self._due = False
        if self._engine is None:
            return
        there = await self._engine.all()
        notes = {note.key: note for note in await self._store.all()}
        doomed = unneeded(there, notes, budget=self._settings.budget, oldest=self._oldest())
        gone = {snapshot.id for snapshot in doomed if await self._remove(snapshot)}
        left = sum(snapshot.size for snapshot in there if snapshot.id not in gone)
        self._more_to_tidy = len(gone) < len(doomed) or left > self._settings.budget
        # What only a standby holds is free as soon as that is gone; a job says when it has ended.
        self._due |= any(each.id not in gone and not each.in_use for each in doomed)
        for key in self._forgettable(there, notes):
            await self._store.forget(key)

    def _oldest(self) -> datetime:
        return self._clock.now().wall - timedelta(seconds=self._settings.max_age)

    async def _remove(self, snapshot: Snapshot) -> bool:
        key = snapshot.key
        if snapshot.in_use or key in self._making or key in self._starting:
            return False
        with self.making(key):
            if snapshot.current:
                await self._standbys.drop(self.engine.image_of(key))
            removed = await self.engine.remove(snapshot)
            if removed and snapshot.current:
                await self._store.forget(key)
        if removed:
            _log.info("removed a snapshot of dependencies: %s (%s)", snapshot.about, key[:12])
        return removed

    def _forgettable(
        self, there: Iterable[Snapshot], notes: Mapping[str, SnapshotNote]
    ) -> Collection[str]:
        """Return the keys of notes that have nothing to be about."""
        present = {snapshot.key for snapshot in there}
        oldest = self._oldest()
        return [
            key
            for key, note in notes.items()
            if key not in present
            and key not in self._making
            and (note.retired or note.empty_since is None or note.empty_since < oldest)
        ]


def unneeded(
    snapshots: Iterable[Snapshot],
    notes: Mapping[str, SnapshotNote],
    *,
    budget: int,
    oldest: datetime,
) -> list[Snapshot]:
    """Return those to remove: replaced, retired or made before ``oldest``, then what is too much.

    Of those that are too much the ones used longest ago come first. One that a
    job uses counts and stays. Pure.
    """

    def used_at(snapshot: Snapshot) -> datetime:
        note = notes.get(snapshot.key)
        return note.used_at if note else snapshot.made_at

    def worthless(snapshot: Snapshot) -> bool:
        note = notes.get(snapshot.key)
        retired = note is not None and note.retired
        return retired or not snapshot.current or snapshot.made_at < oldest

    snapshots = sorted(snapshots, key=used_at)
    total = sum(snapshot.size for snapshot in snapshots)
    doomed = []
    for snapshot in sorted(snapshots, key=lambda each: not worthless(each)):
        if worthless(snapshot) or (total > budget and not snapshot.in_use):
            doomed.append(snapshot)
            total -= snapshot.size
    return doomed
