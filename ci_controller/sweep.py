"""Clearing away files that no row explains: what a crash left between two steps."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from ci_common.clock import Clock
from ci_common.jobs import JobRepository

_log = logging.getLogger(__name__)

_BATCH = 500
"""Rows asked for at once."""


async def sweep(repository: JobRepository, clock: Clock, *, grace: float) -> int:
    """Delete temporary files and stashes that nothing needs; return how many.

    Only those older than ``grace`` seconds: younger ones may be on their way.
    A stash is needed until its job has ended. Logs are opened after the claim,
    so there is none without a row.
    """
    before = clock.now().wall - timedelta(seconds=grace)
    stash = repository.stash
    removed = await asyncio.to_thread(stash.sweep_uploads, older_than=before)
    stashed = await asyncio.to_thread(lambda: list(stash.stashed(older_than=before)))
    for start in range(0, len(stashed), _BATCH):
        unneeded = await _unneeded(repository, stashed[start : start + _BATCH])
        for job_id in unneeded:
            await asyncio.to_thread(stash.remove_job, job_id)
        removed += len(unneeded)
    if removed:
        _log.info("swept %d files that no job needs", removed)
    return removed


async def _unneeded(repository: JobRepository, job_ids: Sequence[str]) -> list[str]:
    rows = {job.id: job for job in await repository.get_many(job_ids)}
    return [key for key in job_ids if key not in rows or rows[key].status.ended]
