"""An executor in memory, whose containers do what the test says, when it says so.

``FakeEngine`` is the world: containers in it outlive any one ``FakeExecutor``,
as real ones do. What a fed container does is the engine's ``on_fed``; from then
on the test drives it by ``write`` and ``exit``. Faults are switches on the
engine. Nothing here waits for time, except ``wait_exit`` for its own timeout.
"""

import asyncio
import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from ci_common.errors import ContainerFailed, ContainerGone, EngineUnavailable, ImageMissing
from ci_common.executor import (
    FED_MARKER,
    ContainerExit,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    FileVisitor,
    ObservedContainer,
    OutputSink,
    ProducedFile,
    ProducedKind,
    SizedTar,
)
from ci_controller.container_names import ContainerNames
from tests.fakes.snapshots import FakeImages, FakeSnapshots


def pass_at_once(container: "FakeContainer") -> None:
    """Be a job that prints a line and succeeds."""
    container.write(b"ok\n")
    container.exit(0)


def print_and_wait(container: "FakeContainer") -> None:
    """Be a job that prints a line and goes on until the test says otherwise."""
    container.write(b"running\n")


class FakeContainer:
    """One container; ``write`` and ``exit`` are what its main process does."""

    def __init__(self, name: str, namespace: str, spec: ContainerSpec) -> None:
        self.name = name
        self.namespace = namespace
        self.spec = spec
        self.image_id = spec.image
        self.created_at = datetime(2026, 1, 1, tzinfo=UTC)
        self.state = ContainerState.RUNNING
        self.output = bytearray()
        self.errors = ""
        self.ended: ContainerExit | None = None
        self.files: dict[str, bytes] = {}
        """What was fed, and what the test has it produce."""
        self.fed = False
        self.ignores_sigterm = False
        self.streams_broken = 0
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert self.ended is None, "a container that has ended writes nothing"
        self.output += data
        self._announce()

    def exit(self, code: int, **circumstances: Any) -> None:
        if self.ended is None:
            self.ended = ContainerExit(exit_code=code, **circumstances)
            self.state = ContainerState.EXITED
            self._announce()

    def break_streams(self) -> None:
        """End the streams under a living container, as an engine that restarts does."""
        self.streams_broken += 1
        self._announce()

    async def change(self) -> None:
        """Return at the next change."""
        await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass
class FakeEngine:
    """The containers and the faults that all executors on it meet.

    ``available``: whether anything answers. ``missing_images``, ``launch_error``:
    why a launch fails. ``cut_feed_at``: after how many bytes of the tar the
    container stops reading. ``hold(call)`` has calls of that name hang until
    released. ``cuts_followers``: a stream of its record that was begun before
    the container's end misses what was written last. ``calls`` lists what was called, on what.
    """

    on_fed: Callable[[FakeContainer], None] = pass_at_once
    available: bool = True
    missing_images: set[str] = field(default_factory=set)
    launch_error: str | None = None
    cut_feed_at: int | None = None
    cuts_followers: bool = False
    can_limit_disk: bool = False
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    images: FakeImages = field(default_factory=FakeImages)
    calls: list[tuple[str, str]] = field(default_factory=list)
    _holds: dict[str, asyncio.Event] = field(default_factory=dict)
    _called: dict[str, asyncio.Event] = field(default_factory=dict)

    def hold(self, call: str) -> asyncio.Event:
        """Have every ``call`` hang until the returned event is set."""
        self._holds[call] = asyncio.Event()
        return self._holds[call]

    async def called(self, call: str) -> None:
        """Return once ``call`` has been called, held or not."""
        await self._called.setdefault(call, asyncio.Event()).wait()

    def vanish(self, name: str) -> None:
        """Remove a container behind everybody's back."""
        container = self.containers.pop(name)
        container.exit(137)

    def make(self, name: str, namespace: str, spec: ContainerSpec) -> FakeContainer:
        """Return a new container, which is not among the others yet."""
        return FakeContainer(name, namespace, spec)

    async def enter(self, call: str, name: str = "") -> None:
        """Note a call; hang or fail as the switches say."""
        self.calls.append((call, name))
        self._called.setdefault(call, asyncio.Event()).set()
        if call in self._holds:
            await self._holds[call].wait()
        await asyncio.sleep(0)
        if not self.available:
            raise EngineUnavailable("The engine does not answer.")

    def require_image(self, image: str) -> None:
        if image in self.missing_images:
            raise ImageMissing(f"the image {image!r} is not there")

    def find(self, name: str) -> FakeContainer:
        if name not in self.containers:
            raise ContainerGone(f"there is no container {name}")
        return self.containers[name]


class FakePump:
    """Copies a container's output to a sink as it comes."""

    def __init__(
        self, container: FakeContainer, sink: OutputSink, position: int, *, cut: bool = False
    ) -> None:
        self._container = container
        self._cut = cut and container.ended is None
        self._sink = sink
        self._position = position
        self._broken = container.streams_broken
        self.image_id: str | None = container.image_id
        self._task = asyncio.create_task(self._run(), name=f"fake pump {container.name}")

    async def wait(self) -> None:
        await asyncio.shield(self._task)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            container = self._container
            if self._cut and container.ended is not None:
                return
            self._pass_on()
            if container.ended is not None or container.streams_broken > self._broken:
                return
            await container.change()

    def _pass_on(self) -> None:
        data = bytes(self._container.output[self._position :])
        if data:
            self._position += len(data)
            self._sink(data)


class FakeExecutor:
    """One process's view of a ``FakeEngine``."""

    def __init__(self, engine: FakeEngine | None = None, prefix: str = "") -> None:
        self.engine = engine or FakeEngine()
        self._names = ContainerNames(prefix)
        self._pumps: list[FakePump] = []
        self.snapshots = FakeSnapshots(self.engine, prefix)

    @classmethod
    def of(cls, on_fed: Callable[[FakeContainer], None]) -> Self:
        """Return an executor on an engine of its own whose containers do ``on_fed``."""
        return cls(FakeEngine(on_fed=on_fed))

    async def open(self) -> None:
        await self.engine.enter("open")

    async def close(self) -> None:
        for pump in self._pumps:
            await pump.close()

    async def ping(self) -> EngineInfo:
        await self.engine.enter("ping")
        return EngineInfo(name="fake", version="1")

    async def limits_disk(self) -> bool:
        await self.engine.enter("limits_disk")
        return self.engine.can_limit_disk

    async def observe(self) -> Sequence[ObservedContainer]:
        await self.engine.enter("observe")
        ours = self._names.prefix
        return [
            self._seen(each) for each in self.engine.containers.values() if each.namespace == ours
        ]

    def container_name(self, job_id: str, attempt: int) -> str:
        return self._names.for_job(job_id, attempt)

    def standby_name(self, token: str) -> str:
        return self._names.for_standby(token)

    async def take_standby(self, standby: str, name: str, spec: ContainerSpec) -> bool:
        await self.engine.enter("take_standby", standby)
        container = self.engine.containers.get(standby)
        if container is None or container.ended is not None:
            return False
        try:
            if container.image_id != self._image_id(spec.image):
                return False
        except ImageMissing:
            return False
        container.name = name
        self.engine.containers[name] = self.engine.containers.pop(standby)
        return True

    async def launch(self, name: str, spec: ContainerSpec) -> None:
        await self.engine.enter("launch", name)
        if name in self.engine.containers:
            return
        self.engine.require_image(spec.image)
        if self.engine.launch_error is not None:
            raise ContainerFailed(self.engine.launch_error)
        container = self.engine.make(name, self._names.prefix, spec)
        container.image_id = self._image_id(spec.image)
        self.engine.containers[name] = container

    async def feed(self, name: str, tar: SizedTar, sink: OutputSink) -> FakePump:
        await self.engine.enter("feed", name)
        container = self.engine.find(name)
        if container.ended is not None:
            raise ContainerGone(f"{name} has ended")
        pump = self._pump(container, sink, 0)
        try:
            await self._send(container, tar)
        except BaseException:
            await pump.close()
            raise
        return pump

    async def follow(self, name: str, sink: OutputSink, *, skip: int) -> FakePump:
        await self.engine.enter("follow", name)
        return self._pump(self.engine.find(name), sink, skip, cut=self.engine.cuts_followers)

    async def has_output(self, name: str) -> bool:
        await self.engine.enter("has_output", name)
        return bool(self.engine.find(name).output)

    async def exit_of(self, name: str) -> ContainerExit | None:
        await self.engine.enter("exit_of", name)
        return self.engine.find(name).ended

    async def wait_exit(self, name: str, *, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        await self.engine.enter("wait_exit", name)
        container = self.engine.find(name)
        try:
            async with asyncio.timeout(timeout):
                while container.ended is None:
                    await container.change()
        except TimeoutError:
            return None
        # A container that vanished while we waited has no exit to tell of.
        return self.engine.find(name).ended

    async def startup_error(self, name: str) -> str:
        await self.engine.enter("startup_error", name)
        found = self.engine.containers.get(name)
        return found.errors if found else ""

    async def stop(self, name: str, *, grace: float) -> None:
        await self.engine.enter("stop", name)
        container = self.engine.containers.get(name)
        if container is not None:
            container.exit(137 if container.ignores_sigterm else 143)

    async def visit_files(
        self, name: str, path: str, visit: FileVisitor, *, most_bytes: int
    ) -> bool:
        await self.engine.enter("visit_files", name)
        for found, content in sorted(self.engine.find(name).files.items()):
            if found != path and not found.startswith(f"{path}/"):
                continue
            most_bytes -= len(content)
            if most_bytes < 0:
                return False
            visit(
                ProducedFile(
                    path=found,
                    kind=ProducedKind.FILE,
                    size=len(content),
                    modified=0,
                    executable=False,
                    content=iter((content,)),
                )
            )
        return True

    async def remove(self, name: str) -> None:
        await self.engine.enter("remove", name)
        if name in self.engine.containers:
            self.engine.vanish(name)

    async def purge(self) -> None:
        for container in await self.observe():
            await self.remove(container.name)
        for snapshot in await self.snapshots.all():
            await self.snapshots.remove(snapshot)

    async def _send(self, container: FakeContainer, tar: SizedTar) -> None:
        sent = bytearray()
        for chunk in tar:
            sent += chunk
            limit = self.engine.cut_feed_at
            if limit is not None and len(sent) > limit:
                raise ContainerFailed(f"{container.name} stopped taking its project")
            await asyncio.sleep(0)
            if container.ended is not None:
                raise ContainerGone(f"{container.name} ended before it had taken its project")
        assert len(sent) == tar.size, "a tar is as long as it says"
        container.files = unpack(bytes(sent))
        container.fed = FED_MARKER in container.files
        if container.fed:
            self.engine.on_fed(container)
        else:
            container.exit(125)

    def _image_id(self, image: str) -> str:
        """Return what a name means now, a snapshot's too."""
        for namespace, snapshot in self.engine.images.snapshots:
            of_it = FakeSnapshots(self.engine, namespace).image_of(snapshot.key)
            if snapshot.current and of_it == image:
                return snapshot.id
        if image.startswith("snapshot:"):
            raise ImageMissing(f"the image {image!r} is not there")
        return self.engine.images.ids.get(image, image)

    def _pump(
        self, container: FakeContainer, sink: OutputSink, skip: int, *, cut: bool = False
    ) -> FakePump:
        pump = FakePump(container, sink, skip, cut=cut)
        self._pumps.append(pump)
        return pump

    def _seen(self, container: FakeContainer) -> ObservedContainer:
        job_id, attempt = self._names.parse(container.name) or (None, None)
        return ObservedContainer(
            name=container.name,
            state=container.state,
            key=container.spec.key,
            job_id=job_id,
            attempt=attempt,
            created_at=container.created_at,
        )


def unpack(tar: bytes) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            return {
                entry.name: content.read()
                for entry in archive
                if (content := archive.extractfile(entry)) is not None
            }
    except tarfile.TarError:
        return {}
