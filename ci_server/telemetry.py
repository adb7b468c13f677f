"""What counts and what traces in one server process, as far as it is wanted.

Their libraries are loaded only then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci_common.clock import SystemClock
from ci_common.job_repository import JobRepository
from ci_common.observer import Observer, Observers
from ci_common.tracing import tracing_wanted
from ci_server.parts import ControllerState
from ci_server.settings import Settings

if TYPE_CHECKING:
    from ci_server.metrics.page import MetricsPage
    from ci_server.metrics.worker import WorkerMetrics
    from ci_server.tracing import ServerTracing

LONGEST_SOCKET = "/worker-1000.sock"
"""What is put behind the folder in which workers tell each other their metrics."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is on: each is None when it is not wanted, or cannot be had."""

    worker: "WorkerMetrics | None"
    tracing: "ServerTracing | None"

    @property
    def observer(self) -> Observer:
        """Who is to be told of what happens."""
        return Observers([each for each in (self.worker, self.tracing) if each is not None])

    @asynccontextmanager
    async def page(
        self,
        settings: Settings,
        repository: JobRepository,
        controller: ControllerState,
        executor_name: str,
        folder: Path,
    ) -> AsyncIterator["MetricsPage | None"]:
        """Hold the page of metrics open; ``folder`` is where the workers' sockets are."""
        if self.worker is None:
            yield None
            return
        from ci_server.metrics.page import MetricsPage
        from ci_server.metrics.shared import SharedMetrics

        database = settings.db_path.absolute()
        shared = SharedMetrics(repository, database, SystemClock(), executor_name)
        page = MetricsPage(
            self.worker, shared, folder, lambda: (controller.is_leader, controller.standbys)
        )
        async with page.open():
            yield page

    async def close(self) -> None:
        """Send what is left to be sent."""
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


def build_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    """Return what the settings and OpenTelemetry's standard variables ask for."""
    return Telemetry(_metrics(settings), _tracing(environ))


def _metrics(settings: Settings) -> "WorkerMetrics | None":
    if settings.metrics == "off":
        return None
    from ci_server.metrics.worker import WorkerMetrics

    return WorkerMetrics()


def _tracing(environ: Mapping[str, str]) -> "ServerTracing | None":
    if not tracing_wanted(environ):
        return None
    try:
        from ci_server.tracing import ServerTracing

        return ServerTracing()
    except ImportError as error:
        _logger.warning(
            "no traces, though OTEL_… variables ask for them: install standby-ci[otel] (%s)", error
        )
        return None
