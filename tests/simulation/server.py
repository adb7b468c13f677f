"""A server process put together of its real parts, but for what it is connected to."""

import asyncio
import os
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ci_common.backoff import Backoff
from ci_common.project_zip import ZipLimits
from ci_common.quotas import Quotas
from ci_common.signals import LocalSignals
from ci_controller.controller import JobController
from ci_controller.settings import ControllerSettings, RetentionSettings
from ci_controller.standby import StandbySettings
from ci_persistence.jobs import SQLiteJobRepository
from ci_server.control import JobControl
from ci_server.retries import Retries
from ci_server.submissions import Submissions
from ci_server.trees import Trees
from tests.fakes.clock import FakeClock
from tests.simulation.disk import Disk, SimulatedSpace
from tests.simulation.engine import SimulatedEngine
from tests.simulation.executor import SimulatedExecutor
from tests.simulation.process import PROCESS, Handle, Process
from tests.simulation.promises import LEAST_KEPT
from tests.simulation.submission import MOST_RUNNING

GRACE = 20.0
"""Seconds after which what nobody needs is swept."""


class SteadyBackoff(Backoff):
    """Without jitter."""

    def delay(self, failures: int, rng: object = None) -> float:
        return self.ceiling(failures)


_SETTINGS = ControllerSettings(
    max_running=4,
    max_starting=2,
    orphan_grace=GRACE,
    sweep_interval=GRACE,
    backoff=SteadyBackoff(longest=8.0),
    standby=StandbySettings(size=1),
    blob_age=3600.0,
)


def settings(*, keep_for: float) -> ControllerSettings:
    """Return what a controller may do here; ended jobs are kept so many seconds, 0 for ever.

    Their projects are kept for less: for twice as long as a sweep takes to come again.
    """
    retention = RetentionSettings(
        keep_for=keep_for, keep_at_least=LEAST_KEPT, projects_for=2 * GRACE
    )
    return replace(_SETTINGS, retention=retention)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all servers have in common."""

    folder: Path
    engine: SimulatedEngine
    clock: FakeClock
    disk: Disk
    loop: asyncio.AbstractEventLoop
    file_times: "FileTimes"


class FileTimes:
    """Has files be as old as the simulated clock says."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self._folders = [folder / name for name in ("stash", "tmp", "packs", "logs")]
        self._clock = clock
        self._set: dict[str, int] = {}

    def correct(self) -> None:
        """Give the present time to what has been written since the last call."""
        now = int(self._clock.wall.timestamp()) * 10**9
        before, self._set = self._set, {}
        for folder in self._folders:
            for file in _entries(folder):
                written = file.stat().st_mtime_ns
                if written != before.get(file.path):
                    os.utime(file.path, ns=(now, now))
                    written = now
                self._set[file.path] = written


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    # With what the system tells of each: this is done after each call of a store.
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


class Server:
    """One process that serves and, if it holds the lock, controls."""

    def __init__(
        self, process: Process, around: Surroundings, settings: ControllerSettings
    ) -> None:
        self.process = process
        self.ending = False
        self._loop = around.loop
        self.signals = LocalSignals()
        self.repository = _repository(process, around)
        self.controller = JobController(
            self.repository,
            SimulatedExecutor(around.engine, process),
            signals=self.signals,
            clock=around.clock,
            settings=settings,
        )
        outage: Any = Handle(self.controller._outage, process, "outage")
        self.controller._outage = outage
        process.on_death(self.controller._lock.release)
        self.control = JobControl(self.repository, self.signals, around.clock)
        limits = ZipLimits()
        self.submissions = Submissions(
            repository=self.repository,
            signals=self.signals,
            clock=around.clock,
            limits=limits,
            max_upload_bytes=1_000_000,
            max_attempts=3,
            idle_timeout=60.0,
            executor=SimulatedExecutor(around.engine, process),
            trees=Trees(self.repository, around.clock, limits),
        )
        self.retries = Retries(self.repository, self.submissions)

    async def start(self) -> None:
        await self.repository.initialize()
        await self.controller.start()

    async def shut_down(self) -> None:
        """End as SIGTERM has it; asked again while at it, go on."""
        if self.ending:
            return
        self.ending = True
        await self.controller.stop()
        await self.repository.close()
        self.process.die()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something as a part of this process."""
        context = Context()
        context.run(PROCESS.set, self.process)
        return context.run(lambda: self._loop.create_task(work, name=name))


def _repository(process: Process, around: Surroundings) -> SQLiteJobRepository:
    repository = SQLiteJobRepository(
        around.folder / "ci_jobs.db",
        space=SimulatedSpace(around.disk),
        quotas=Quotas(running=MOST_RUNNING),
    )
    stash: Any = Handle(
        repository.stash,
        process,
        "stash",
        made={"new_upload": _let_go, "keep_tree": _let_go, "keep_again": _let_go},
        after=around.file_times.correct,
    )
    logs: Any = Handle(
        repository.logs, process, "logs", made={"open": _abandon}, after=around.file_times.correct
    )
    repository.stash, repository.logs = stash, logs
    return repository


def _let_go(upload: Any) -> None:
    # As the kernel does: the file stays, and is no longer locked.
    upload._file.close()


def _abandon(writer: Any) -> None:
    # A dead process marks nothing.
    writer._owed, writer._sealed = b"", True
    writer.close()
