"""How much an organisation may have at once, and how much it has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """The most of each thing that an organisation may have; 0 is no limit."""

    running: int = 0
    """Jobs that run."""
    queued: int = 0
    """Jobs that wait."""
    project_bytes: int = 0
    """Bytes of the projects that are kept, those of jobs that have ended too."""
    artifact_bytes: int = 0
    """Bytes of the artifacts that are kept."""


NO_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an organisation has, in the units of ``Quotas``."""

    running: int
    queued: int
    project_bytes: int
    artifact_bytes: int


class QuotaStore(Protocol):
    """What organisations may have, and have. ``NOBODYS`` has no limits.

    Every method may raise ``StorageBusy``; nothing is changed by any of them.
    """

    async def usage(self, organisation: str) -> Usage:
        """Return what an organisation has now, by its id."""
        ...

    async def quotas(self, organisations: Collection[str]) -> Mapping[str, Quotas]:
        """Return what each of these organisations may have, by id."""
        ...
