"""What all workers see alike, looked up when it is asked for."""

import asyncio
import logging
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ci_common import __version__
from ci_common.clock import Clock
from ci_common.errors import CIError
from ci_common.job_repository import JobRepository
from ci_common.job_totals import Distribution, JobTotals
from ci_common.jobs import EndReason
from ci_server.metrics.families import PREFIX, Family, Sample

LOOK_AT_FOLDERS = 60.0
"""Seconds for which the sizes of folders are good: there can be very many files in them."""

_DEADLINE = 3.0
"""Seconds the database has to answer."""

_FOLDERS = ("logs", "stash", "packs")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SharedMetrics:
    """Counts of the database, and how much room there is."""

    repository: JobRepository
    database: Path
    clock: Clock
    executor_name: str
    _sizes: dict[str, int] | None = None
    _sizes_at: float = 0.0

    async def families(self, *, engine_up: bool) -> list[Family]:
        """Return all of them; without those of the database when it does not answer."""
        totals = await self._totals()
        return [
            _info(
                version=__version__, python=platform.python_version(), executor=self.executor_name
            ),
            _gauge("engine_up", "Whether the container engine answers.", engine_up),
            _gauge("database_up", "Whether the database answers.", totals is not None),
            *(self._jobs(totals) if totals is not None else ()),
            *await self._room(),
        ]

    async def _totals(self) -> JobTotals | None:
        try:
            async with asyncio.timeout(_DEADLINE):
                return await self.repository.totals()
        except (CIError, TimeoutError) as error:
            _log.warning("the metrics lack what the database has: %s", error)
            return None

    def _jobs(self, totals: JobTotals) -> Iterable[Family]:
        oldest = totals.oldest_queued
        waited = (self.clock.now().wall - oldest).total_seconds() if oldest else 0.0
        yield _gauge(
            "jobs",
            "Jobs that have not ended.",
            ({"state": "queued"}, totals.queued),
            ({"state": "running"}, totals.running),
        )
        yield _gauge(
            "queue_oldest_seconds", "How long the job waits that waits longest.", max(0.0, waited)
        )
        yield _counter("jobs_submitted", "Jobs that were taken.", ({}, totals.submitted))
        yield _counter(
            "jobs_requeued", "Attempts that were lost and made again.", ({}, totals.requeued)
        )
        yield _counter(
            "jobs_ended",
            "Jobs that have ended, by why.",
            *(({"reason": each.value}, totals.ended.get(each, 0)) for each in EndReason),
        )
        yield _histogram(
            "job_queue_wait_seconds",
            "From a submission to its first claim.",
            totals.queue_wait,
        )
        yield _histogram(
            "job_duration_seconds",
            "From the claim of the attempt that came to a result to that result.",
            totals.duration,
        )

    async def _room(self) -> Iterable[Family]:
        disk = os.statvfs(self.repository.data_dir)
        sizes = await self._folder_sizes()
        return (
            _gauge(
                "disk_free_bytes",
                "Bytes that are free on the disk of the data directory.",
                disk.f_bavail * disk.f_frsize,
            ),
            _gauge(
                "disk_size_bytes",
                "Bytes of the disk of the data directory.",
                disk.f_blocks * disk.f_frsize,
            ),
            _gauge(
                "data_bytes",
                "Bytes that the server's data takes, by what it is. At most a minute old.",
                *(({"kind": kind}, size) for kind, size in sizes.items()),
            ),
        )

    async def _folder_sizes(self) -> dict[str, int]:
        now = time.monotonic()
        if self._sizes is None or now - self._sizes_at > LOOK_AT_FOLDERS:
            self._sizes = await asyncio.to_thread(self._measure)
            self._sizes_at = now
        return self._sizes

    def _measure(self) -> dict[str, int]:
        folder = self.repository.data_dir
        files = (self.database.with_name(self.database.name + end) for end in ("", "-wal"))
        sizes = {"database": sum(map(_size, files))}
        return sizes | {name: _folder_size(folder / name) for name in _FOLDERS}


def _folder_size(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(_size(entry) for entry in entries)
    except OSError:
        return 0


def _size(path: "Path | os.DirEntry[str]") -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0  # gone meanwhile, or never there


_Labelled = tuple[dict[str, str], float]


def _gauge(name: str, help_text: str, *values: float | _Labelled) -> Family:
    labelled = [value if isinstance(value, tuple) else ({}, value) for value in values]
    return _family(name, help_text, "gauge", "", labelled)


def _counter(name: str, help_text: str, *values: _Labelled) -> Family:
    return _family(name, help_text, "counter", "_total", values)


def _family(
    name: str, help_text: str, kind: str, ending: str, values: Iterable[_Labelled]
) -> Family:
    samples = (Sample(PREFIX + name + ending, labels, float(value)) for labels, value in values)
    return Family(PREFIX + name, help_text, kind, tuple(samples))


def _info(**labels: str) -> Family:
    return _gauge("build_info", "What runs here; always 1.", (labels, 1.0))


def _histogram(name: str, help_text: str, found: Distribution) -> Family:
    samples, so_far = [], 0
    for bound, count in found.buckets:
        so_far += count
        label = "+Inf" if bound == float("inf") else str(bound)
        samples.append(Sample(f"{PREFIX}{name}_bucket", {"le": label}, float(so_far)))
    samples.append(Sample(f"{PREFIX}{name}_count", {}, float(so_far)))
    samples.append(Sample(f"{PREFIX}{name}_sum", {}, found.sum))
    return Family(PREFIX + name, help_text, "histogram", tuple(samples))
