"""Clearing away files that no row explains: what a crash left between two steps."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from ci_common.artifacts import ArtifactStore
from ci_common.blobs import Pack
from ci_common.clock import Clock
from ci_common.errors import JobNotFound
from ci_common.job_repository import JobRepository
from ci_common.logs import LogStore
from ci_common.stash import Stash

_log = logging.getLogger(__name__)

_BATCH = 500
"""Rows asked for at once."""


async def sweep(repository: JobRepository, clock: Clock, *, grace: float) -> int:
    """Delete temporary files and stashes that nothing needs; return how many.

    A stash is needed until its job has ended and its project is kept no longer.
    What no row knows may be on its way: it goes when it is older than ``grace`` seconds.
    """
    now = clock.now().wall
    before = now - timedelta(seconds=grace)
    stash = repository.stash
    removed = await asyncio.to_thread(stash.sweep_uploads, older_than=before)
    # File by file, as a long queue has one for each of its jobs.
    stashed = iter(stash.stashed(older_than=now))
    strangers: set[str] = set()
    while job_ids := await _some(stashed):
        rows = {job.id: job for job in await repository.get_many(job_ids)}
        removed += await _remove_stashes(
            stash, [job_id for job_id, job in rows.items() if not job.stashed]
        )
        strangers.update(job_id for job_id in job_ids if job_id not in rows)
    if strangers:
        old = await asyncio.to_thread(
            lambda: strangers.intersection(stash.stashed(older_than=before))
        )
        removed += await _remove_stashes(stash, old)
    if removed:
        _log.info("swept %d files that no job needs", removed)
    return removed


async def _some(job_ids: Iterator[str]) -> list[str]:
    """Return the next batch of what is read from a folder; empty at its end."""
    return await asyncio.to_thread(lambda: list(islice(job_ids, _BATCH)))


async def _remove_stashes(stash: Stash, job_ids: Collection[str]) -> int:
    for job_id in job_ids:
        await asyncio.to_thread(stash.remove_job, job_id)
    return len(job_ids)


async def sweep_logs(repository: JobRepository, clock: Clock, *, grace: float) -> int:
    """Delete logs and artifacts without a row older than ``grace`` seconds; return how many.

    They come after the claim, so only a crash while a job was being removed
    leaves one: it is enough to look once after each start.
    """
    before = clock.now().wall - timedelta(seconds=grace)
    logs = await _sweep_strays(repository, repository.logs, before)
    artifacts = await _sweep_strays(repository, repository.artifacts, before)
    if logs or artifacts:
        _log.info("swept %d logs and %d artifacts that belong to no job", logs, artifacts)
    return logs + artifacts


async def _sweep_strays(
    repository: JobRepository, store: LogStore | ArtifactStore, before: datetime
) -> int:
    stored = iter(store.stored(older_than=before))
    removed = 0
    while job_ids := await _some(stored):
        known = {job.id for job in await repository.get_many(job_ids)}
        strays = [job_id for job_id in job_ids if job_id not in known]
        for job_id in strays:
            await asyncio.to_thread(_remove, store, job_id)
        removed += len(strays)
    return removed


def _remove(store: LogStore | ArtifactStore, job_id: str) -> None:
    with suppress(JobNotFound):  # not a name that we gave; it is not ours to delete
        store.remove(job_id)


async def sweep_packs(
    repository: JobRepository, clock: Clock, *, grace: float, budget: int, age: float
) -> int:
    """Delete packs that no unfinished job needs and there is no reason to keep; return how many.

    All packs together may have ``budget`` bytes; those that were used longest
    ago go first. What nobody used for ``age`` seconds goes in any case, and so
    does a file older than ``grace`` seconds that no row knows.
    """
    now = clock.now().wall
    stash, blobs = repository.stash, repository.blobs
    before = now - timedelta(seconds=grace)
    # Files before rows: a pack that comes in between has a row for its file, not the reverse.
    files = await asyncio.to_thread(stash.kept_packs, older_than=before)
    packs = await blobs.packs()
    stray = set(files) - {pack.id for pack in packs}
    doomed = dispensable(packs, budget=budget, unused_since=now - timedelta(seconds=age))
    # Rows before files: a job must not be given a pack that is on its way out.
    dropped = [pack.id for pack in doomed if await blobs.drop(pack)]
    for pack_id in [*stray, *dropped]:
        await asyncio.to_thread(stash.remove_pack, pack_id)
    removed = len(stray) + len(dropped)
    if removed:
        _log.info("swept %d packs of uploaded files", removed)
    return removed


def dispensable(packs: Sequence[Pack], *, budget: int, unused_since: datetime) -> Iterator[Pack]:
    """Yield the packs to drop out of ``packs``, which begin with the one used longest ago."""
    total = sum(pack.size for pack in packs)
    # What no new job can ask for goes first, whatever the room.
    for pack in sorted(packs, key=lambda pack: not pack.superseded):
        if pack.held:
            continue
        if pack.superseded or pack.used < unused_since or total > budget:
            total -= pack.size
            yield pack
