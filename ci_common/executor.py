"""Who runs a job: the contract every executor keeps, whatever it runs things in.

A *container* here is a single-use place with its own life: created for one
attempt of one job (or waiting as a standby), fed one project, ended once. It
outlives the process that created it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from ci_common.snapshots import SnapshotEngine

FED_MARKER = ".fed"
"""Last entry of the fed tar: the job script does not run without it, so a cut feed runs nothing."""

OutputSink = Callable[[bytes], None]
"""Takes the next bytes of a container's output. Called in order, from one worker thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What a container is made of; equal specs can stand in for each other.

    ``memory`` in bytes, ``cpus`` in cores, ``log_limit`` the bytes of output
    the engine must be able to give again. ``disk``: bytes that it may write to its
    own files, None for no bound.
    """

    image: str
    memory: int
    cpus: float
    pids: int
    network: str
    log_limit: int
    user: str | None = None
    runtime: str | None = None
    cap_add: tuple[str, ...] = ()
    disk: int | None = None

    @property
    def key(self) -> str:
        """A short name for this spec, the same in every process."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:12]


class ContainerState(StrEnum):
    """What a container is doing. ``CREATED`` was never started."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    """A container as a list shows it. ``job_id`` and ``attempt`` are None for a standby.

    ``key`` is that of the spec it was launched with.
    """

    name: str
    state: ContainerState
    key: str = ""
    job_id: str | None = None
    attempt: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerExit:
    """How a container's main process ended.

    ``by_itself`` is False when the engine or the machine may have gone down
    under it: then nothing of this is the job's own doing. ``witnessed`` is False
    when nobody may have seen it happen: then a reader that was attached may have
    been cut off before it was told all.
    """

    exit_code: int
    oom_killed: bool = False
    error: str = ""
    by_itself: bool = True
    witnessed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyCounts:
    """How many standbys wait for a job, and how many are on their way to it."""

    ready: int = 0
    launching: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What answers, for ``ci doctor`` and the logs."""

    name: str
    version: str
    api_version: str = ""
    detail: str = ""


class SizedTar(Protocol):
    """A tar that is made while it is read, and yet says first how long it will be.

    Used in a worker thread, by one thread at a time. What it raises ends the feed.
    """

    @property
    def size(self) -> int:
        """Bytes that iterating yields."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Yield the tar from its beginning, in chunks as they are to be sent."""
        ...


class ProducedKind(StrEnum):
    """What a job left at a path. ``OTHER``: a device, a pipe, a second name of another file."""

    FILE = "file"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedFile:
    """Something in a container that is no folder.

    ``path`` is relative to the folder that the container was fed into, and never leads out
    of it; ``modified`` is in seconds since 1970. ``content`` yields at most ``size`` bytes;
    once, and before the visit is over.
    """

    path: str
    kind: ProducedKind
    size: int
    modified: int
    executable: bool
    content: Iterator[bytes]


FileVisitor = Callable[[ProducedFile], None]
"""Is shown files, one after the other, in a worker thread. What it raises ends the visit."""


class OutputPump(Protocol):
    """Output on its way from one container to a sink.

    ``image_id`` is the engine's id of the image that the container runs, if it was learned.
    """

    @property
    def image_id(self) -> str | None:
        """The image's id, None if nobody was told."""
        ...

    async def wait(self) -> None:
        """Return when the stream has ended and the sink has everything that came.

        The end of the stream is not the end of the container: look at it afterwards.
        """
        ...

    async def close(self) -> None:
        """Stop reading and return once the sink will not be called again. Idempotent."""
        ...


class Executor(Protocol):
    """Runs containers.

    Every call has a deadline of its own and raises ``EngineUnavailable`` when
    the engine does not answer in time; one wedged container never delays calls
    about another. Names decide identity: calls are idempotent by name. Any
    number of tasks may call at once; calls about one container come from one
    task at a time, except ``stop`` and ``remove``.

    Life of a container: ``launch`` → ``feed`` → (output) → exit → ``remove``.
    """

    async def open(self) -> None:
        """Make ready what all containers share. Idempotent; raises ``EngineUnavailable``."""
        ...

    async def close(self) -> None:
        """Let go of threads and sockets. Containers go on. Idempotent."""
        ...

    async def ping(self) -> EngineInfo:
        """Return what answers. Raises ``EngineUnavailable``."""
        ...

    async def limits_disk(self) -> bool:
        """Return whether the ``disk`` of a spec can be kept to. Raises ``EngineUnavailable``."""
        ...

    async def observe(self) -> Sequence[ObservedContainer]:
        """Return all containers of our namespace, and no others.

        Raises:
            EngineUnavailable: it cannot be seen; which is not the same as none.

        """
        ...

    def container_name(self, job_id: str, attempt: int) -> str:
        """Return the one name a container of this attempt has."""
        ...

    async def launch(self, name: str, spec: ContainerSpec) -> None:
        """Have a started container of that name wait for its project.

        If one of that name exists already, nothing changes.

        Raises:
            ImageMissing: the image is not to be had.
            ContainerFailed: the engine refuses to create or start it.

        """
        ...

    async def feed(self, name: str, tar: SizedTar, sink: OutputSink) -> OutputPump:
        """Attach to the output and send the project; return the running pump.

        ``tar`` is read in a worker thread, and its last entry is ``FED_MARKER``.
        Once per container. Output goes to ``sink`` from the first byte on, even
        while the feed is under way. If anything fails, or whoever feeds dies,
        the job script never runs on half a project. Whether the container ends
        then or waits for ever is not said: stop or remove it.

        Raises:
            ContainerGone: there is no such container, or it has ended.
            ContainerFailed: it did not take its project (no sh, no tar, …).

        """
        ...

    async def follow(self, name: str, sink: OutputSink, *, skip: int) -> OutputPump:
        """Send the container's output from its start, less the first ``skip`` bytes, to ``sink``.

        Goes on until the stream ends. Raises ``ContainerGone``.
        """
        ...

    async def has_output(self, name: str) -> bool:
        """Return whether the container has written anything. Raises ``ContainerGone``.

        The job script writes a line before it does anything else, so output
        means that the project arrived whole and runs.
        """
        ...

    async def exit_of(self, name: str) -> ContainerExit | None:
        """Return how the container ended, None while it lives. Raises ``ContainerGone``."""
        ...

    async def wait_exit(self, name: str, *, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        """Return how the container ended, waiting at most ``timeout`` seconds for it."""
        ...

    async def startup_error(self, name: str) -> str:
        """Return what a container that never ran the job script complained of, or ``""``."""
        ...

    async def stop(self, name: str, *, grace: float) -> None:
        """SIGTERM, ``grace`` seconds, SIGKILL. Succeeds on what has ended or is gone."""
        ...

    async def visit_files(
        self, name: str, path: str, visit: FileVisitor, *, most_bytes: int
    ) -> bool:
        """Show ``visit`` what an ended container has at ``path``, a file or a whole folder.

        ``path`` is relative to the folder that the container was fed into. Where there
        is nothing, nothing is shown. No link is followed out of that folder, on the
        machine's own disk at least. False when more than ``most_bytes`` of files
        lie there: the visit is over with the first one that goes beyond.

        Raises:
            ContainerGone: there is no such container.

        """
        ...

    async def remove(self, name: str) -> None:
        """Remove the container and what belongs to it, running or not. Succeeds on what is gone."""
        ...


@runtime_checkable
class StandbyExecutor(Executor, Protocol):
    """An executor whose containers take so long to launch that it pays to do it ahead."""

    def standby_name(self, token: str) -> str:
        """Return the name of a standby; ``token`` makes it unique."""
        ...

    async def take_standby(self, standby: str, name: str, spec: ContainerSpec) -> bool:
        """Give a standby launched for ``spec`` the name of a job's container.

        False, and nothing has changed, when it is not fit to be used: it has
        ended, is gone, or its image's name means another image by now. Raises
        ``EngineUnavailable``.
        """
        ...


@runtime_checkable
class SnapshotExecutor(StandbyExecutor, Protocol):
    """An executor that can keep what was installed in a container, and start others from it.

    Its ``launch`` and ``take_standby`` take ``snapshots.image_of(key)`` as an image.
    """

    @property
    def snapshots(self) -> SnapshotEngine:
        """The snapshots of this executor's namespace."""
        ...
