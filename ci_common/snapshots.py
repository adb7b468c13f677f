"""Installed dependencies that are kept: images to start jobs from, and what is noted of them.

A *snapshot* is an image made of a container in which a recipe's dependencies
were installed, and nothing else was done. Its ``key`` is a digest of all that
the installation depends on, so jobs with the same key can start from it.
Which snapshots there are, the engine says; the store notes when each was used
last, and which of them are not to be used again.

What an organisation's job installs is for its own jobs only: an installation runs
code of whatever is installed. A key says whose it is.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ci_common.access import NOBODYS, Within

_MARK_DIGITS = 16
"""Hexadecimal. A key is part of an image's tag, which has 128 characters at most."""


def owned_key(digest: str, organisation: str) -> str:
    """Return the key of an installation with this digest, done for this organisation (its id).

    Without an organisation it is the digest alone.
    """
    return digest if organisation == NOBODYS else f"{digest}.{_mark_of(organisation)}"


def is_visible(key: str, within: Within) -> bool:
    """Return whether a key is of one of these organisations."""
    if within is None:
        return True
    _, _, mark = key.partition(".")
    return bool(mark) and mark in map(_mark_of, within)


def _mark_of(organisation: str) -> str:
    return hashlib.sha256(organisation.encode()).hexdigest()[:_MARK_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot, as the engine shows it.

    ``id`` is the image's own; ``size`` the bytes it takes beyond the image
    ``base`` it was made from; ``about`` what was installed, for people.
    ``current`` is False for what a later one of the same key has replaced, and
    for one whose making was cut off. ``in_use``: whether a container that is
    not a standby was made from it.
    """

    key: str
    id: str
    size: int
    made_at: datetime
    base: str = ""
    about: str = ""
    current: bool = True
    in_use: bool = False


class SnapshotEngine(Protocol):
    """What an engine can do for snapshots, for one namespace.

    Calls have deadlines and raise as those of ``Executor`` do.
    """

    def image_of(self, key: str) -> str:
        """Return the one name that the image of a snapshot has. It is never pulled."""
        ...

    async def image_id(self, image: str) -> str:
        """Return which image a name means now, pulling it if it is not there.

        Raises:
            ImageMissing: it is not to be had.

        """
        ...

    async def made_at(self, key: str) -> datetime | None:
        """Return when the present snapshot of a key was made, None if there is none."""
        ...

    async def run(self, container: str, command: Sequence[str]) -> int:
        """Run a short program in a container that waits for its project; return its exit status."""
        ...

    async def has_file(self, container: str, path: str) -> bool:
        """Return whether a container has ``path`` in the folder that it was fed into."""
        ...

    async def keep(self, container: str, key: str, *, base: str, about: str) -> None:
        """Make a container that has ended the snapshot of ``key``, in place of an earlier one."""
        ...

    async def all(self) -> Sequence[Snapshot]:
        """Return every snapshot of our namespace, also those that are not ``current``."""
        ...

    async def remove(self, snapshot: Snapshot) -> bool:
        """Remove it; False when a container needs it. Succeeds on what is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotNote:
    """What is noted of a key.

    ``empty_since`` is when it was found that nothing has to be installed, so
    that there is no snapshot to have; ``retired``: what there is is not to be
    used again.
    """

    key: str
    used_at: datetime
    empty_since: datetime | None = None
    retired: bool = False


class SnapshotStore(Protocol):
    """Where those notes are kept. A hint: a snapshot nothing is noted of can be used all the same.

    Every method may raise ``StorageBusy`` or ``StorageFull``.
    """

    async def get(self, key: str) -> SnapshotNote | None:
        """Return what is noted of a key."""
        ...

    async def all(self) -> Sequence[SnapshotNote]:
        """Return all notes, in no particular order."""
        ...

    async def made(self, key: str, *, now: datetime, empty: bool = False) -> None:
        """Note an installation; what was noted of the key before does not count any more."""
        ...

    async def used(self, key: str, *, now: datetime) -> None:
        """Note that a job started from a snapshot."""
        ...

    async def retire(self, keys: Iterable[str], *, now: datetime) -> None:
        """Note that these are not to be used again; also of keys nothing was noted of."""
        ...

    async def forget(self, key: str) -> None:
        """Delete what is noted of a key. Succeeds when there is nothing."""
        ...
