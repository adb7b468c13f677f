"""Everything there is: servers that come and go, one data directory, one engine, one clock."""

import asyncio
import itertools
import logging
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ci_common.errors import CIError
from ci_common.job_options import JobOptions
from ci_common.jobs import Job
from ci_common.outage import Outage
from ci_common.signals import CACHE
from ci_controller.job_script import PREPARED
from tests.fakes.clock import FakeClock
from tests.invariants import leftovers, unsound
from tests.simulation.beginning import begin_in
from tests.simulation.connection import simulated_connections
from tests.simulation.containers import Cause, SimulatedContainer
from tests.simulation.disk import Disk
from tests.simulation.engine import SimulatedEngine
from tests.simulation.invariants import Invariants
from tests.simulation.lockstep import loop_in_lockstep
from tests.simulation.loop import SimulatedLoop
from tests.simulation.process import Killed, Process
from tests.simulation.promises import Promises
from tests.simulation.server import GRACE, FileTimes, Server, Surroundings, settings
from tests.simulation.submission import Kind, Pace, form_of

_MEMORY = Path("/dev/shm")
"""A folder in memory, where there is one."""
_TICK = 2.0
_LONGEST_REST = 600.0
"""Seconds in which everything must have come to rest when nothing goes wrong any more."""

_UNSURE = 1.0
"""Seconds in which a stream that breaks off looks as if the container had ended then."""


class World:
    """Each method is something that happens; ``settle`` lets the rest follow from it.

    ``trace`` lists all that happened, line by line. Close it.
    ``keep_for``: seconds that ended jobs are kept, 0 for ever.
    """

    def __init__(self, *, keep_for: float = 0.0) -> None:
        self.trace: list[str] = []
        self.clock = FakeClock()
        self.loop = SimulatedLoop(self.clock)
        self.engine = SimulatedEngine(self.clock, self.loop.time, self.trace.append)
        self.disk = Disk()
        self.promises = Promises(self.engine, self.disk, self.loop.time, keep_for=keep_for)
        self.servers: list[Server] = []
        self._settings = settings(keep_for=keep_for)
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(_folder()))
        begin_in(self.folder)
        self.invariants = Invariants(self.folder, self.engine, self.clock, self.disk, self.promises)
        self._around = Surroundings(
            folder=self.folder,
            engine=self.engine,
            clock=self.clock,
            disk=self.disk,
            loop=self.loop,
            file_times=FileTimes(self.folder, self.clock),
        )
        self._put_in_place()

    def _put_in_place(self) -> None:
        numbers = itertools.count(1)
        for stand_in in (
            _errors_into(self.loop.errors),
            simulated_connections(self.disk),
            self.disk.under_the_stores(),
            loop_in_lockstep(),
            patch("ci_server.submissions.uuid.uuid4", lambda: uuid.UUID(int=next(numbers))),
            patch("ci_server.trees.secrets.randbits", lambda _: next(numbers)),
        ):
            self._stack.enter_context(stand_in)

    def close(self) -> None:
        """Take everything down. Checks nothing."""
        for server in self.servers:
            server.process.die()
        with suppress(AssertionError):
            self.loop.run(_LONGEST_REST)
        self.loop.close()
        self._stack.close()

    def settle(self, seconds: float = 0.0) -> Mapping[str, Job]:
        """Let everybody do what they do in so many seconds; check that all is well."""
        self.loop.run(seconds)
        self.servers = [each for each in self.servers if not each.process.dead]
        assert not self.loop.errors, self.loop.errors
        return self.invariants.check()

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Have something happen by itself after a while."""
        # Whoever is killed must not be taken for whoever does it.
        self.loop.call_later(seconds, act, context=Context())

    # servers

    def start(self) -> Server:
        """Start a server process."""
        process = Process(next(self._numbers), self.trace.append)
        server = Server(process, self._around, self._settings)
        self.servers.append(server)
        server.spawn(_unless_killed(server.start()), "start")
        return server

    def kill(self, server: Server, *, points: int = 0, down: float = 0.0) -> None:
        """Kill a server after some more points; another is started after ``down`` seconds."""
        server.process.on_death(lambda: self.later(down, self.have_a_server))
        if points:
            server.process.fuse = points
        else:
            server.process.die()

    def shut_down(self, server: Server, *, down: float = 0.0) -> None:
        """End a server as SIGTERM has it; another is started ``down`` seconds after its end."""
        server.process.on_death(lambda: self.later(down, self.have_a_server))
        server.spawn(_unless_killed(server.shut_down()), "shut down")

    def have_a_server(self) -> None:
        """Start a server if there is none."""
        if all(server.ending or server.process.dead for server in self.servers):
            self.start()

    # what clients do

    def submit(
        self, server: Server, kind: Kind, key: str | None = None, pace: Pace = Pace.AT_ONCE
    ) -> None:
        """Submit a project; the job counts as acknowledged once the server has answered."""

        async def submit() -> None:
            form: Any = form_of(kind, key, pace)
            job = await server.submissions.accept(form, organisation=kind.organisation)
            assert job.organisation == kind.organisation
            self.promises.accepted(job, key)
            self.trace.append(f"{job.id} is acknowledged")

        self._ask(server, submit())

    def cancel(self, server: Server, job_id: str) -> None:
        """Cancel a job."""
        self.promises.asked_to_cancel(job_id)

        async def cancel() -> None:
            self.promises.cancelled(await server.control.cancel(job_id))
            self.trace.append(f"{job_id} is told to be cancelled")

        self._ask(server, cancel())

    def retry(self, server: Server, job_id: str) -> None:
        """Run a job again; what is refused, because it has not ended or is gone, is no matter."""

        async def retry() -> None:
            job = await server.retries.retry(job_id, JobOptions(), failed_only=False, key=None)
            assert job.retry_of == job_id
            self.promises.accepted(job, None)
            self.trace.append(f"{job.id} is a retry of {job_id}")

        self._ask(server, retry())

    def prune(self, server: Server) -> None:
        """Give up all snapshots, as ``ci cache prune`` does."""

        async def prune() -> None:
            notes = await server.repository.snapshots.all()
            keys = [note.key for note in notes]
            await server.repository.snapshots.retire(keys, now=self.clock.now().wall)
            server.signals.notify(CACHE)

        self._ask(server, prune())

    @staticmethod
    def _ask(server: Server, work: Coroutine[Any, Any, None]) -> None:
        async def ask() -> None:
            with suppress(CIError):
                await work

        server.spawn(_unless_killed(ask()), "request")

    # what containers do

    def finish(self, container: SimulatedContainer, code: int, *, oom_killed: bool = False) -> None:
        """Have a container's script end with a status.

        Not just when its stream has broken off by itself, nor while the engine
        still has to say whether it had ended then: what is said until the
        server notices is lost (a limit of the product).
        """
        while not container.unwatched and (
            self.loop.time() - container.broken_at < _UNSURE or self._is_asked_about(container)
        ):
            self.settle(_UNSURE)
        if not container.lives:
            return
        if container.installs and code == 0:
            container.files = {PREPARED: b""}
        container.end(Cause.ITSELF, code, oom_killed=oom_killed)

    def _is_asked_about(self, container: SimulatedContainer) -> bool:
        return container.streams_broken > 0 and any(
            (each.call, each.name) == ("exit_of", container.name) and not each.answer.done()
            for each in self.engine.pending
        )

    # the end

    def rest(self) -> None:
        """Have everything end well: all jobs, and all that was made for them.

        Nothing may go wrong any more, and there must be a server.
        """
        rows = self.settle(Pace.SLOWLY.value)
        assert self.promises.to_be_stopped(rows) == [], "asked for, and not done"
        deadline = self.loop.time() + _LONGEST_REST
        codes = itertools.cycle([0, 5, 1])
        while any(not job.status.ended for job in self.settle(_TICK).values()):
            for container in self.engine.living:
                if container.begun:
                    container.say(3)
                    self.finish(container, 0 if container.installs else next(codes))
            self.have_a_server()
            assert self.loop.time() < deadline, f"does not end: {self.invariants.rows()}"
        self.settle(3 * GRACE)
        if self._left and all(each.startswith("log of") for each in self._left):
            # What a crash left looks young to a clock that was set back; each start looks anew.
            for server in self.servers:
                server.process.die()
            self.have_a_server()
            self.settle(3 * GRACE)
        self._check_rest()

    @property
    def _left(self) -> list[str]:
        return leftovers(self.folder / "ci_jobs.db", self.folder)

    def _check_rest(self) -> None:
        names = [each.name for each in self.engine.containers.values()]
        assert all("standby" in name for name in names), f"orphans: {names}"
        problems = [*self._left, *unsound(self.folder / "ci_jobs.db")]
        assert not problems, problems
        assert Outage(self.folder).reason is None
        leaders = [each for each in self.servers if each.controller.is_leader]
        assert len(leaders) == 1, "there is one controller"
        plan = leaders[0].spawn(leaders[0].controller.reconcile(), "reconcile")
        self.settle()
        assert plan.result() == [], "there is nothing left to do"


async def _unless_killed(work: Coroutine[Any, Any, None]) -> None:
    with suppress(Killed, asyncio.CancelledError):
        await work


class _Errors(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(self.format(record))


@contextmanager
def _errors_into(errors: list[str]) -> Iterator[None]:
    """Collect what is logged as an error, which is a mistake of ours; leave out the rest."""
    handler = _Errors(errors)
    logging.getLogger().addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        logging.getLogger().removeHandler(handler)


def _folder() -> Any:
    place = _MEMORY if _MEMORY.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="standby-ci-simulation-", dir=place)
