"""Snapshots in memory: those of a ``FakeEngine``, and what is noted of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ci_common.errors import EngineError
from ci_common.snapshots import Snapshot, SnapshotNote

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeImages:
    """What a fake engine has besides containers.

    ``ids``: what names of images mean, by default themselves. ``size`` of every
    snapshot; ``clock`` says when it is made. ``keep_error`` is why none can be.
    ``has``: modules that images have, for ``ci_need``.
    """

    ids: dict[str, str] = field(default_factory=dict)
    snapshots: list[tuple[str, Snapshot]] = field(default_factory=list)
    size: int = 1000
    clock: Callable[[], datetime] = lambda: EPOCH
    keep_error: str | None = None
    has: set[str] = field(default_factory=set)
    made: int = 0

    def present(self, namespace: str, key: str) -> Snapshot | None:
        found = (s for n, s in self.snapshots if n == namespace and s.key == key and s.current)
        return next(found, None)


class FakeSnapshots:
    """The ``SnapshotEngine`` of one namespace of a ``FakeEngine``."""

    def __init__(self, engine, prefix: str) -> None:
        self._engine = engine
        self._prefix = prefix

    @property
    def _images(self) -> FakeImages:
        return self._engine.images

    def image_of(self, key: str) -> str:
        return f"snapshot:{self._prefix}{key}"

    async def image_id(self, image: str) -> str:
        await self._engine.enter("image_id", image)
        self._engine.require_image(image)
        return self._images.ids.get(image, image)

    async def made_at(self, key: str) -> datetime | None:
        await self._engine.enter("made_at", key)
        found = self._images.present(self._prefix, key)
        return found.made_at if found else None

    async def run(self, container: str, command: Sequence[str]) -> int:
        await self._engine.enter("run", container)
        self._engine.find(container)
        if command[0] == "sh" and "find_spec" in command[2]:
            return int(not set(command[4:]) <= self._images.has)
        return int(command[0] != "true")

    async def has_file(self, container: str, path: str) -> bool:
        await self._engine.enter("has_file", container)
        return path in self._engine.find(container).files

    async def keep(self, container: str, key: str, *, base: str, about: str) -> None:
        await self._engine.enter("keep", container)
        self._engine.find(container)
        if self._images.keep_error is not None:
            raise EngineError(self._images.keep_error)
        self._images.made += 1
        snapshot = Snapshot(
            key=key,
            id=f"sha256:{self._images.made}",
            size=self._images.size,
            made_at=self._images.clock(),
            base=base,
            about=about,
        )
        earlier = [
            (name, replace(each, current=each.current and (name, each.key) != (self._prefix, key)))
            for name, each in self._images.snapshots
        ]
        self._images.snapshots = [*earlier, (self._prefix, snapshot)]

    async def all(self) -> Sequence[Snapshot]:
        await self._engine.enter("snapshots")
        return [
            replace(each, in_use=any("standby" not in user for user in self._users(each)))
            for name, each in self._images.snapshots
            if name == self._prefix
        ]

    async def remove(self, snapshot: Snapshot) -> bool:
        await self._engine.enter("remove_snapshot", snapshot.key)
        if self._users(snapshot):
            return False
        kept = [each for each in self._images.snapshots if each[1].id != snapshot.id]
        self._images.snapshots = kept
        return True

    def _users(self, snapshot: Snapshot) -> list[str]:
        return [c.name for c in self._engine.containers.values() if c.image_id == snapshot.id]


class InMemorySnapshotStore:
    """The contract of ``SnapshotStore`` without a database."""

    def __init__(self) -> None:
        self._notes: dict[str, SnapshotNote] = {}

    async def get(self, key: str) -> SnapshotNote | None:
        return self._notes.get(key)

    async def all(self) -> Sequence[SnapshotNote]:
        return list(self._notes.values())

    async def made(self, key: str, *, now: datetime, empty: bool = False) -> None:
        since = now if empty else None
        self._notes[key] = SnapshotNote(key=key, used_at=now, empty_since=since)

    async def used(self, key: str, *, now: datetime) -> None:
        note = self._notes.get(key, SnapshotNote(key=key, used_at=now))
        self._notes[key] = replace(note, used_at=max(now, note.used_at))

    async def retire(self, keys: Iterable[str], *, now: datetime) -> None:
        for key in keys:
            note = self._notes.get(key, SnapshotNote(key=key, used_at=now))
            self._notes[key] = replace(note, retired=True)

    async def forget(self, key: str) -> None:
        self._notes.pop(key, None)
