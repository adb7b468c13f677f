"""The page that Prometheus scrapes: the same, whichever worker it comes to."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ci_common.executor import StandbyCounts
from ci_server.metrics.exchange import Exchange
from ci_server.metrics.families import PREFIX, Family, Sample, families_of, render
from ci_server.metrics.shared import SharedMetrics
from ci_server.metrics.worker import WorkerMetrics

Look = Callable[[], tuple[bool, StandbyCounts]]
"""Returns whether this process leads, and its standbys."""


class MetricsPage:
    """All metrics of a server. ``folder`` is where its workers meet."""

    def __init__(
        self, worker: WorkerMetrics, shared: SharedMetrics, folder: Path, look: Look
    ) -> None:
        self.worker = worker
        self._shared = shared
        self._look = look
        self._exchange = Exchange(folder, self._own)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["MetricsPage"]:
        """Answer the other workers for the length of a block."""
        await self._exchange.open()
        try:
            yield self
        finally:
            await self._exchange.close()

    async def render(self, accept: str, *, engine_up: bool) -> tuple[bytes, str]:
        """Return the page and its media type, in the format that ``accept`` asks for."""
        others, silent = await self._exchange.ask()
        shared = await self._shared.families(engine_up=engine_up)
        name, text = f"{PREFIX}workers_silent", "Workers that did not tell their metrics in time."
        told = Family(name, text, "gauge", (Sample(name, {}, float(silent)),))
        return render([*shared, told, *self._own(), *others], accept)

    def _own(self) -> list[Family]:
        leads, standbys = self._look()
        self.worker.see(leader=leads, standbys=standbys)
        return families_of(self.worker.registry, self._exchange.worker)
