"""Contents of files that are kept between jobs, so that what did not change need not travel again.

A *blob* is the content of a file, named by its SHA-256. Blobs lie in *packs*:
zips as they came up, whose entries are named by hash. A job that was sent as a
manifest reads its files from packs; a pack stays while an unfinished job needs
it, and after that for as long as there is room. With it go the projects that are
kept of ended jobs and read from it.

Every blob belongs to a *scope*, the SHA-256 of a secret that the client made
up: nobody gets at a file by knowing its hash, only by having uploaded it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """Where a blob lies: entry of the zip ``pack`` at ``offset``, as the table of contents has it.

    ``packed`` and ``size`` are bytes before and after inflating.
    """

    pack: int
    offset: int
    packed: int
    size: int
    method: int
    crc: int


class Pack(NamedTuple):
    """A pack as the store sees it: ``size`` in bytes, ``used`` when a job last came that needs it.

    ``held``: an unfinished job needs it. ``superseded``: all of its blobs lie
    in later packs too, and no ended job's project reads from it, so that no new job
    will ask for it.
    """

    id: int
    size: int
    used: datetime
    held: bool
    superseded: bool


class PacksGone(Exception):
    """A pack that a new job needs is not there any more; nothing was stored."""


class BlobStore(Protocol):
    """Which blobs there are, and who needs them. The packs themselves are files (``Stash``).

    Durable: a call that returned is on disk. Any number of tasks and processes
    may call at once. Every method may raise ``StorageBusy`` or ``StorageFull``;
    nothing was changed then.
    """

    async def locate(self, scope: bytes, hashes: Collection[bytes]) -> Mapping[bytes, Place]:
        """Return where those of the blobs lie that ``scope`` has, by hash (32 bytes)."""
        ...

    async def add_pack(
        self, scope: bytes, pack: int, size: int, blobs: Mapping[bytes, Place], now: datetime
    ) -> None:
        """Take in a pack whose file is durable. Blobs that were known move to it."""
        ...

    async def packs(self) -> Sequence[Pack]:
        """Return all packs, the one that was used longest ago first."""
        ...

    async def drop(self, pack: Pack) -> bool:
        """Forget a pack and its blobs; its file may go then.

        Ended jobs whose projects read from it have them no longer.

        False, and nothing is changed, when it was used since ``pack`` was
        looked at, or an unfinished job needs it.
        """
        ...

    async def forget(self, packs: Collection[int]) -> None:
        """Forget the blobs of packs whose files are lost, so that clients send them again.

        Jobs that need them keep their hold: they will say that they miss it.
        """
        ...
