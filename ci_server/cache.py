"""What is kept between jobs: shown, and given up when somebody asks for that.

Only the controller removes anything, since it knows what is about to be used.
Here it is written down that it shall not be used again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ci_common.access import Within
from ci_common.api import CacheEntry
from ci_common.clock import Clock, format_utc
from ci_common.executor import Executor, SnapshotExecutor
from ci_common.signals import CACHE, Signals
from ci_common.snapshots import Snapshot, SnapshotNote, SnapshotStore, is_visible

DEPENDENCIES = "dependencies"

_LONGEST = 100 * 366 * 86_400
"""Seconds. Nothing here is that old, and no date is further away."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What one server keeps."""

    executor: Executor
    snapshots: SnapshotStore
    signals: Signals
    clock: Clock

    async def entries(self, within: Within = None) -> Sequence[CacheEntry]:
        """Return all that can be used by these organisations, the latest used first.

        Raises ``EngineError``.
        """
        return await self._entries(await self._notes(within), within)

    async def prune(self, *, unused_for: float, within: Within = None) -> Sequence[CacheEntry]:
        """Give up what these organisations have not used for so many seconds; return it.

        What a running job needs goes when the job has ended. Raises ``EngineError``.
        """
        notes = await self._notes(within)
        before = self.clock.now().wall - timedelta(seconds=min(unused_for, _LONGEST))
        given_up = [
            entry
            for entry in await self._entries(notes, within)
            if entry.last_used_at <= format_utc(before)
        ]
        empty = [n.key for n in notes.values() if n.empty_since and n.used_at <= before]
        keys = [*(entry.key for entry in given_up), *empty]
        await self.snapshots.retire(keys, now=self.clock.now().wall)
        self.signals.notify(CACHE)
        return given_up

    async def _notes(self, within: Within) -> Mapping[str, SnapshotNote]:
        notes = await self.snapshots.all()
        return {note.key: note for note in notes if is_visible(note.key, within)}

    async def _entries(
        self, notes: Mapping[str, SnapshotNote], within: Within
    ) -> Sequence[CacheEntry]:
        if not isinstance(self.executor, SnapshotExecutor):
            return []
        found = [
            _entry(snapshot, notes.get(snapshot.key))
            for snapshot in await self.executor.snapshots.all()
            if is_visible(snapshot.key, within)
            and snapshot.current
            and not _is_retired(notes.get(snapshot.key))
        ]
        return sorted(found, key=lambda entry: entry.last_used_at, reverse=True)


def _is_retired(note: SnapshotNote | None) -> bool:
    return note is not None and note.retired


def _entry(snapshot: Snapshot, note: SnapshotNote | None) -> CacheEntry:
    return CacheEntry(
        kind=DEPENDENCIES,
        key=snapshot.key,
        size_bytes=snapshot.size,
        created_at=format_utc(snapshot.made_at),
        last_used_at=format_utc(note.used_at if note else snapshot.made_at),
        image=snapshot.base,
        about=snapshot.about,
    )
