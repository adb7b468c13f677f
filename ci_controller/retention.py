"""Removing what is kept no longer: ended jobs, for their age or for room, and old events.

A job goes in an order that no reader stumbles over: first its row, so that
nobody finds a job without its log, then its files, which whoever reads them
holds open. What a crash leaves in between are files without a row, which are
swept.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from ci_common.clock import Clock
from ci_common.errors import StorageFull
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job
from ci_common.space import Deficit
from ci_controller.settings import RetentionSettings

_log = logging.getLogger(__name__)

_BATCH = 500
"""Jobs that go at once, at most: what comes after them need not wait long."""


class Retention:
    """Decides which ended jobs go, and removes them. ``in_hand``: ids of jobs to leave alone."""

    def __init__(
        self,
        repository: JobRepository,
        clock: Clock,
        settings: RetentionSettings,
        in_hand: Collection[str],
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._settings = settings
        self._in_hand = in_hand
        self._usage = 0
        self._measured_at: float | None = None

    async def apply(self) -> bool:
        """Remove some of the jobs that are to go, the oldest first; return whether to come again.

        Raises:
            StorageBusy, StorageFull: from the database.

        """
        if await self._release_projects():
            return True
        expired = await self._expired()
        if expired:
            await self._remove(expired, f"ended more than {self._settings.keep_for:g} s ago")
            return len(expired) == _BATCH
        crowding = await self._crowding()
        await self._remove(crowding, "room is needed")
        return len(crowding) == _BATCH

    async def prune_events(self) -> None:
        """Delete some of the events that are kept no longer, the oldest first.

        Raises:
            StorageBusy, StorageFull: from the database.

        """
        age = self._settings.keep_events_for
        before = self._clock.now().earlier(age).wall if age else None
        events = self._repository.events
        gone = await events.prune(before=before, keep=self._settings.most_events)
        if gone:
            _log.info("removed %d events that are kept no longer", gone)

    async def _release_projects(self) -> bool:
        """Give up some projects of ended jobs that are kept no longer; return whether any went.

        They go before any job does: what they are good for can be had again from who sent them.
        """
        settings = self._settings
        doomed = await self._projects(settings.projects_for)
        if not doomed and settings.project_bytes:
            doomed = self._fitting(
                await self._projects(0),
                await self._repository.stashed_bytes() - settings.project_bytes,
            )
        if not doomed and (missing := self._repository.space.deficit()):
            doomed = self._fitting(await self._projects(0), missing.bytes, missing.files)
        if doomed:
            job_ids = [job.id for job in doomed]
            try:
                await self._with_reserve(self._repository.release, job_ids)
            except StorageFull:  # as with jobs
                await asyncio.to_thread(self._remove_projects, doomed)
                await self._repository.release(job_ids)
            else:
                await asyncio.to_thread(self._remove_projects, doomed)
            _log.info("gave up the projects of %d ended jobs", len(doomed))
        return bool(doomed)

    async def _projects(self, seconds_ago: float) -> Sequence[Job]:
        before = self._clock.now().earlier(seconds_ago)
        jobs = await self._repository.oldest_stashed(limit=_BATCH, before=before)
        return [job for job in jobs if job.id not in self._in_hand]

    @staticmethod
    def _fitting(jobs: Sequence[Job], wanted: int, files: int = 0) -> Sequence[Job]:
        """Return the first of ``jobs`` that take up that many bytes, and are that many."""
        freed = 0
        for count, job in enumerate(jobs):
            if freed >= wanted and count >= files:
                return jobs[:count]
            freed += job.zip_size
        return jobs

    def _remove_projects(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._repository.stash.remove_job(job.id)

    async def _expired(self) -> Sequence[Job]:
        if not self._settings.keep_for:
            return ()
        return await self._ended(self._settings.keep_for)

    async def _crowding(self) -> Sequence[Job]:
        """Return the oldest jobs that have to go so that what is left fits."""
        deficit = await self._deficit()
        if not deficit:
            return ()
        jobs = await self._ended(self._settings.keep_at_least)
        sizes = await asyncio.to_thread(lambda: [self._size(job.id) for job in jobs])
        chosen: list[Job] = []
        freed = 0
        for job, size in zip(jobs, sizes, strict=True):
            if freed >= deficit.bytes and len(chosen) >= deficit.files:
                break
            chosen.append(job)
            freed += size
        return chosen

    async def _deficit(self) -> Deficit:
        missing = self._repository.space.deficit()
        if not self._settings.keep_log_bytes:
            return missing
        excess = await self._measured_usage() - self._settings.keep_log_bytes
        return Deficit(max(missing.bytes, excess), missing.files)

    async def _measured_usage(self) -> int:
        """Return what logs and artifacts took at the last look, less what has gone since."""
        uptime = self._clock.now().uptime
        interval = self._settings.usage_interval
        if self._measured_at is None or uptime - self._measured_at >= interval:
            stores = (self._repository.logs, self._repository.artifacts)
            usages = [await asyncio.to_thread(store.usage) for store in stores]
            self._usage = sum(usages)
            self._measured_at = uptime
        return self._usage

    async def _ended(self, seconds_ago: float) -> Sequence[Job]:
        before = self._clock.now().earlier(seconds_ago)
        jobs = await self._repository.oldest_ended(limit=_BATCH, before=before)
        return [job for job in jobs if job.id not in self._in_hand]

    async def _remove(self, jobs: Sequence[Job], why: str) -> None:
        if not jobs:
            return
        job_ids = [job.id for job in jobs]
        try:
            await self._with_reserve(self._repository.forget, job_ids)
        except StorageFull:
            # Nothing can be written, but names can be taken away, and that makes room.
            await asyncio.to_thread(self._remove_files, job_ids)
            await self._repository.forget(job_ids)
        else:
            await asyncio.to_thread(self._remove_files, job_ids)
        _log.info("removed %d ended jobs with their logs: %s", len(job_ids), why)

    async def _with_reserve(
        self, write: Callable[[Sequence[str]], Awaitable[int]], job_ids: Sequence[str]
    ) -> None:
        try:
            await write(job_ids)
        except StorageFull:
            if not await asyncio.to_thread(self._repository.space.release_reserve):
                raise
            await write(job_ids)

    def _size(self, job_id: str) -> int:
        return self._repository.logs.size(job_id) + self._repository.artifacts.size(job_id)

    def _remove_files(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._usage -= self._size(job_id)
            self._repository.logs.remove(job_id)
            self._repository.artifacts.remove(job_id)
            self._repository.stash.remove_job(job_id)
