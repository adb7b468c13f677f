"""Collecting what a job left behind, after its verdict and before its container goes.

The verdict is written, and with it that results are pending. Whoever comes
after a crash finds that, and the container, which is kept for it. What is
collected is written as files first and then as rows, in one go: a crash in
between has it collected again.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

from ci_common.access import NOBODYS
from ci_common.errors import CIError, ContainerGone, EngineError, EngineUnavailable
from ci_common.executor import Executor
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, Job, Result
from ci_common.recipe import Recipe
from ci_common.signals import Signals, job_topic
from ci_controller.results.gathering import Gathering
from ci_controller.settings import ResultLimits

_log = logging.getLogger(__name__)

_NOT_COLLECTED = frozenset({EndReason.CANCELLED, EndReason.INFRA_ERROR})
"""Nobody wants the one, and of the other there is nothing that could be relied upon."""

_SLACK = 1024**3
"""Bytes of other files that may be passed by on the way to those that are wanted."""


def worth_collecting(recipe: Recipe, result: Result) -> bool:
    """Return whether a job that ended like this may have left something."""
    return recipe.leaves_results and result.reason not in _NOT_COLLECTED


@dataclass(slots=True)
class Collector:
    """Collects the results of ended jobs."""

    repository: JobRepository
    executor: Executor
    limits: ResultLimits
    signals: Signals
    _tries: Counter[str] = field(default_factory=Counter)

    async def collect(self, job: Job, container: str) -> None:
        """Collect what a job left in its ``container``; note it if nothing can be had.

        Raises:
            EngineUnavailable: not now; to be tried again.
            StorageFull, StorageBusy: nothing can be written down now.

        """
        self._tries[job.id] += 1
        try:
            await self._collect(job, container)
        except EngineUnavailable as error:
            if self._tries[job.id] < self.limits.tries:
                raise
            await self._give_up(job, f"the container engine failed: {error.detail}")
        except ContainerGone:
            await self._give_up(job, "its container was gone before anything was collected")
        except EngineError as error:
            await self._give_up(job, error.detail)
        except CIError:
            raise  # the database's trouble: the next look takes it up
        except Exception:  # noqa: BLE001 -- else it would be tried for ever
            _log.exception("job %s: its results met an internal error", job.id)
            await self._give_up(job, "internal error; the server's log has it")
        del self._tries[job.id]
        self.signals.notify(job_topic(job.id))

    async def _collect(self, job: Job, container: str) -> None:
        room = await self._artifact_room(job)
        gathering = Gathering(self.repository, job, self.limits, room)
        try:
            for path in gathering.roots:
                most = gathering.most_bytes + _SLACK
                whole = await self.executor.visit_files(
                    container, path, gathering.take, most_bytes=most
                )
                if not whole:
                    gathering.leave_out(path, f"it holds more than {most} bytes")
            results = await asyncio.to_thread(gathering.finish)
            await self.repository.results.record(job.id, results)
        finally:
            await asyncio.to_thread(gathering.close)

    async def _artifact_room(self, job: Job) -> int | None:
        if job.organisation == NOBODYS:
            return None
        return await self.repository.results.artifact_room(job.id)

    async def _give_up(self, job: Job, reason: str) -> None:
        _log.warning("job %s: no results: %s", job.id, reason)
        await self.repository.results.give_up(job.id, reason)
