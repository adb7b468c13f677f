"""How one process reaches the simulated engine: call by call, each with its faults."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from ci_common.errors import ContainerFailed, ContainerGone
from ci_common.executor import (
    FED_MARKER,
    ContainerExit,
    ObservedContainer,
    OutputSink,
    SizedTar,
)
from tests.fakes.executor import FakeExecutor, FakePump, unpack
from tests.simulation.containers import SimulatedContainer
from tests.simulation.engine import SimulatedEngine
from tests.simulation.lockstep import in_lockstep
from tests.simulation.process import Process

_MOMENT = 1e-6
"""Seconds that are none, as floating-point numbers go."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks whether a container has ended."""


def at_once(call: Coroutine[Any, Any, Any]) -> Any:
    """Return what a call of the fakes returns, which wait for nothing here."""
    try:
        call.send(None)
    except StopIteration as stop:
        return stop.value
    call.close()
    raise AssertionError("a fake waits")


def _asked(name: str) -> Any:
    method = getattr(FakeExecutor, name)

    async def ask(self: "SimulatedExecutor", *args: Any, **options: Any) -> Any:
        about = args[0] if args else ""
        return await self.ask(name, about, lambda: at_once(method(self, *args, **options)))

    return ask


class SimulatedPump(FakePump):
    """Carries nothing while the engine's streams are stalled, and may break off behind.

    One that is ``recorded`` carries what the engine has written down, and its
    sink may wait for the loop.
    """

    def __init__(
        self,
        container: SimulatedContainer,
        sink: OutputSink,
        position: int,
        engine: SimulatedEngine,
        *,
        recorded: bool = False,
    ) -> None:
        self._engine = engine
        self._recorded = recorded
        super().__init__(container, sink, position, cut=recorded and engine.cuts_followers)

    async def _run(self) -> None:
        container = self._container
        while container.streams_broken == self._broken:
            if self._cut and container.ended is not None:
                return
            if not self._engine.stalled:
                while await self._carry():
                    pass
                if container.ended is not None:
                    return
            await container.change()

    async def _carry(self) -> bool:
        """Pass on what there is; return whether there was anything."""
        container = self._container
        assert isinstance(container, SimulatedContainer)
        said = container.record if self._recorded else bytes(container.output)
        data = said[self._position :]
        self._position += len(data)
        if data and self._recorded:
            await in_lockstep(lambda: self._sink(data))
        elif data:
            self._sink(data)
        return bool(data)


class SimulatedSnapshots:
    """The snapshots of a ``FakeExecutor``, called as its other calls are."""

    def __init__(self, executor: "SimulatedExecutor", snapshots: Any) -> None:
        self._executor = executor
        self._snapshots = snapshots

    def image_of(self, key: str) -> str:
        return self._snapshots.image_of(key)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._snapshots, name)

        async def ask(*args: Any, **options: Any) -> Any:
            about = args[0] if args and isinstance(args[0], str) else ""
            return await self._executor.ask(name, about, lambda: at_once(method(*args, **options)))

        return ask


class SimulatedExecutor(FakeExecutor):
    """The executor of one process."""

    engine: SimulatedEngine

    def __init__(self, engine: SimulatedEngine, process: Process) -> None:
        super().__init__(engine)
        self._process = process
        self._standbys = 0
        self.snapshots = SimulatedSnapshots(self, self.snapshots)

    async def ask(self, call: str, name: str, effect: Callable[[], Any]) -> Any:
        """Call the engine."""
        self._process.point(f"{call} {name}")
        try:
            return await self.engine.serve(call, name, effect)
        finally:
            self._process.point(f"{call} {name} over")

    open = _asked("open")
    ping = _asked("ping")
    limits_disk = _asked("limits_disk")
    observe = _asked("observe")
    take_standby = _asked("take_standby")
    launch = _asked("launch")
    startup_error = _asked("startup_error")
    stop = _asked("stop")
    remove = _asked("remove")
    visit_files = _asked("visit_files")

    async def close(self) -> None:
        for pump in self._pumps:
            await pump.close()

    def standby_name(self, token: str) -> str:
        # The token is from the machine's own randomness.
        self._standbys += 1
        return super().standby_name(f"{self._process.number:06x}{self._standbys:06x}")

    async def exit_of(self, name: str) -> ContainerExit | None:
        def look() -> ContainerExit | None:
            ended = at_once(FakeExecutor.exit_of(self, name))
            return None if self._find(name).hides_its_end else ended

        return await self.ask("exit_of", name, look)

    async def wait_exit(self, name: str, *, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (ended := await self.exit_of(name)) is None:
            left = deadline - loop.time()
            if left < _MOMENT:
                return None
            container = self.engine.containers.get(name)
            change = container.change() if container else asyncio.sleep(0)
            try:
                await asyncio.wait_for(change, min(left, _LOOK_AGAIN))
            except TimeoutError:
                continue
        container = self.engine.containers.get(name)
        unwatched = isinstance(container, SimulatedContainer) and container.unwatched
        return replace(ended, witnessed=not unwatched)

    async def feed(self, name: str, tar: SizedTar, sink: OutputSink) -> SimulatedPump:
        container = await self.ask("attach", name, lambda: self._ready(name))
        pump = self._keep(SimulatedPump(container, sink, 0, self.engine))
        try:
            content = b"".join(tar)
            assert len(content) == tar.size, "a tar is as long as it says"
            await self.ask("feed", name, lambda: self._take(container, content))
        except BaseException:
            await pump.close()
            raise
        return pump

    async def follow(self, name: str, sink: OutputSink, *, skip: int) -> SimulatedPump:
        container = await self.ask("follow", name, lambda: self._find(name))
        return self._keep(SimulatedPump(container, sink, skip, self.engine, recorded=True))

    async def has_output(self, name: str) -> bool:
        return await self.ask("has_output", name, lambda: bool(self._find(name).record))

    def _find(self, name: str) -> SimulatedContainer:
        at_once(self.engine.enter("find", name))
        container = self.engine.find(name)
        assert isinstance(container, SimulatedContainer)
        return container

    def _ready(self, name: str) -> SimulatedContainer:
        container = self._find(name)
        if not container.lives:
            raise ContainerGone(f"{name} has ended")
        return container

    def _take(self, container: SimulatedContainer, content: bytes) -> None:
        if container not in self.engine.living:
            raise ContainerGone(f"{container.name} ended before it had taken its project")
        if container.fed:
            self.engine.wrong.append(f"{container.name} was fed twice")
        files = unpack(content)
        if FED_MARKER not in files:
            raise ContainerFailed(f"{container.name} did not take its project")
        container.files = files
        container.fed = True
        self.engine.on_fed(container)

    def _keep(self, pump: SimulatedPump) -> SimulatedPump:
        self._pumps.append(pump)
        return pump

    def _seen(self, container: SimulatedContainer) -> ObservedContainer:
        seen = super()._seen(container)
        if not container.hides_its_end:
            return seen
        return ObservedContainer(
            name=seen.name,
            state=type(seen.state).RUNNING,
            key=seen.key,
            job_id=seen.job_id,
            attempt=seen.attempt,
            created_at=seen.created_at,
        )
