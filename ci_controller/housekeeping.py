"""Clearing up beside the loop: what crashes left, and what is kept no longer.

A task of its own, because looking through a folder of many files takes longer
than a job may wait for its start.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from ci_common.clock import Clock
from ci_common.errors import CIError
from ci_common.job_repository import JobRepository
from ci_controller.retention import Retention
from ci_controller.settings import ControllerSettings
from ci_controller.sweep import sweep, sweep_logs, sweep_packs

_log = logging.getLogger(__name__)


class Housekeeper:
    """Keeps one data directory in order, for the controller that leads.

    ``in_hand``: ids of the jobs that a task works at, as they are at any time.
    ``also``: called with each sweep, for what is to be looked at as seldom.
    """

    def __init__(
        self,
        repository: JobRepository,
        clock: Clock,
        settings: ControllerSettings,
        *,
        in_hand: Collection[str],
        also: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._settings = settings
        self._retention = Retention(repository, clock, settings.retention, in_hand)
        self._also = also
        self._task: asyncio.Task[None] | None = None
        self._swept_at: float | None = None
        self._more = False

    def begin_if_due(self) -> None:
        """Begin a round if it is time, or if room has to be made. Never waits."""
        if self._task is None and (
            self._more or self._sweep_is_due() or self._repository.space.deficit()
        ):
            self._task = asyncio.create_task(self._keep_house(), name="housekeeping")

    async def stop(self) -> None:
        """Leave off where it is; the next round goes on. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> None:
        """Do a bounded part of what there is to do.

        Raises:
            StorageBusy, StorageFull: from the database; the next round goes on.

        """
        keep_reserve = self._repository.space.keep_reserve
        await asyncio.to_thread(keep_reserve)
        self._more = await self._retention.apply()
        await asyncio.to_thread(keep_reserve)  # what has gone may have made room for it
        if self._sweep_is_due():
            first = self._swept_at is None
            self._swept_at = self._clock.now().uptime
            self._also()
            await self._sweep(logs=first)
            await self._retention.prune_events()

    async def _sweep(self, *, logs: bool) -> None:
        settings = self._settings
        grace = settings.orphan_grace
        await sweep(self._repository, self._clock, grace=grace)
        await sweep_packs(
            self._repository,
            self._clock,
            grace=grace,
            budget=settings.blob_bytes,
            age=settings.blob_age,
        )
        if logs:
            await sweep_logs(self._repository, self._clock, grace=grace)

    async def _keep_house(self) -> None:
        try:
            await self.round()
        except CIError as error:
            _log.warning("clearing up failed, trying again: %s", error.detail)
        except Exception:  # noqa: BLE001 -- it outlives our mistakes, as the loop does
            _log.exception("clearing up met an internal error")
        finally:
            self._task = None

    def _sweep_is_due(self) -> bool:
        uptime = self._clock.now().uptime
        return self._swept_at is None or uptime - self._swept_at >= self._settings.sweep_interval
