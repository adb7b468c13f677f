"""One look of the reconcile loop and its plan, with a long queue and with a short one."""

import asyncio
import time
from functools import partial

from bench.context import Context
from bench.database import fill
from bench.measure import Comparison, Side, Target, compare
from ci_common.clock import SystemClock
from ci_controller.local import LocalExecutor
from ci_controller.observe import Work, observe
from ci_controller.plan import Claim, plan
from ci_controller.settings import ControllerSettings
from ci_persistence.jobs import SQLiteJobRepository

_LONG, _SHORT = 10_000, 10
_PLACES = 8
"""Free places: what would be claimed is read, and planned, but not carried out."""

_TICKS = 50
"""In one run."""


def reconcile_tick(context: Context) -> Comparison:
    """Compare what a tick costs before it acts.

    The executor is the one without an engine: an engine's answer takes as long
    with any queue, and would only hide a difference.
    """
    with asyncio.Runner() as runner:
        queues = [_Queue(context, count) for count in (_LONG, _SHORT)]
        try:
            return compare(
                f"reconcile tick with {_LONG:,} queued jobs",
                [Side(each.name, partial(_ticks, runner, each)) for each in queues],
                pairs=context.pairs,
                targets=(Target("ratio", 1.5),),
            )
        finally:
            for each in queues:
                runner.run(each.close())


class _Queue:
    """A database with so many queued jobs, and what a controller looks at it with."""

    def __init__(self, context: Context, count: int) -> None:
        self.name = f"{count:,} queued"
        folder = context.folder / f"queue-{count}"
        fill(folder / "ci_jobs.db", count, ended=False)
        self._repository = SQLiteJobRepository(folder / "ci_jobs.db")
        self._executor = LocalExecutor(folder / "local", "bench")
        self._clock = SystemClock()
        self._settings = ControllerSettings(max_running=_PLACES)

    async def tick(self) -> float:
        """Look and plan once; return the seconds that took."""
        await self._repository.initialize()
        begin = time.perf_counter()
        seen = await observe(self._repository, self._executor, self._clock, self._settings, Work())
        actions = plan(seen.snapshot)
        taken = time.perf_counter() - begin
        if sum(isinstance(action, Claim) for action in actions) != _PLACES:
            raise RuntimeError(f"a tick would not claim {_PLACES} jobs: {actions}")
        return taken

    async def close(self) -> None:
        """Let go of the database."""
        await self._executor.close()
        await self._repository.close()


def _ticks(runner: asyncio.Runner, queue: _Queue) -> list[float]:
    return [runner.run(queue.tick()) for _ in range(_TICKS)]
