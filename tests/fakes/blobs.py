"""A ``BlobStore`` in memory, for the contract suite and for tests that need no database."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from ci_common.blobs import Pack, PacksGone, Place


class InMemoryBlobStore:
    """Complete, but gone with the process.

    ``holders`` returns the packs of unfinished jobs, ``keepers`` those of all jobs whose
    projects are kept; ``lose`` is told which pack goes.
    """

    def __init__(
        self,
        holders: Callable[[], Collection[int]],
        keepers: Callable[[], Collection[int]],
        lose: Callable[[int], None],
    ) -> None:
        self._holders = holders
        self._keepers = keepers
        self._lose = lose
        self._blobs: dict[tuple[bytes, bytes], Place] = {}
        self._packs: dict[int, tuple[int, datetime]] = {}

    async def locate(self, scope: bytes, hashes: Collection[bytes]) -> Mapping[bytes, Place]:
        return {blob: self._blobs[scope, blob] for blob in hashes if (scope, blob) in self._blobs}

    async def add_pack(
        self, scope: bytes, pack: int, size: int, blobs: Mapping[bytes, Place], now: datetime
    ) -> None:
        self._packs[pack] = (size, now)
        self._blobs |= {(scope, blob): place for blob, place in blobs.items()}

    async def packs(self) -> Sequence[Pack]:
        held, leading = self._holders(), {place.pack for place in self._blobs.values()}
        found = [
            Pack(pack, size, used, pack in held, pack not in {*leading, *self._keepers()})
            for pack, (size, used) in self._packs.items()
        ]
        return sorted(found, key=lambda pack: (pack.used, pack.id))

    async def drop(self, pack: Pack) -> bool:
        size_and_use = self._packs.get(pack.id)
        if size_and_use != (pack.size, pack.used) or pack.id in self._holders():
            return False
        del self._packs[pack.id]
        self._lose(pack.id)
        await self.forget([pack.id])
        return True

    async def forget(self, packs: Collection[int]) -> None:
        self._blobs = {key: place for key, place in self._blobs.items() if place.pack not in packs}

    def hold(self, packs: Collection[int], now: datetime) -> None:
        """What storing a job does to its packs. Raises ``PacksGone``."""
        if not self._packs.keys() >= set(packs):
            raise PacksGone
        for pack in packs:
            size, used = self._packs[pack]
            self._packs[pack] = (size, max(used, now))
