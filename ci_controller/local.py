"""Jobs without an engine: the same job script, in a scratch folder, as a process group."""

import asyncio
import platform
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ci_common.errors import ContainerGone, EngineError, EngineUnavailable
from ci_common.executor import (
    ContainerExit,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    FileVisitor,
    ObservedContainer,
    OutputSink,
    SizedTar,
)
from ci_controller.container_names import ContainerNames
from ci_controller.feeding import InputBroken, send_project, settle_feed
from ci_controller.local_engine.files import visit_files
from ci_controller.local_engine.launching import LocalLauncher
from ci_controller.local_engine.processes import GroupLeader
from ci_controller.local_engine.scratch import ScratchFolder, hidden_place, scratch_folders
from ci_controller.local_engine.streams import FifoInput, FileTail
from ci_controller.pumps import ThreadPump
from ci_controller.threads import run_in_thread

T = TypeVar("T")

_POLL = 0.01
_KILL_PATIENCE = 5.0
"""Seconds in which a killed group must be gone."""
_COMPLAINT = 2000


class LocalExecutor:
    """An ``Executor`` that runs jobs as child processes of this machine.

    NOT isolated: a job runs as the server's user, sees its files, its network
    and its processes, and has no limits on memory, CPU, processes or disk. It
    gets a scratch folder, a home and a folder for temporary files, and of the
    server's variables only those that concern the machine. ``image``, limits,
    network, user and capabilities of a spec have no meaning here. Processes
    that leave their group outlive their job. Only for servers that nobody but
    their user can reach.

    ``folder`` holds the scratch folders, ``prefix`` is the namespace; several
    processes may share both. ``timeout`` seconds bound a feed that stands still.
    A container whose processes vanished without a recorded end (a reboot) is
    gone.
    """

    def __init__(self, folder: Path, prefix: str = "", *, timeout: float = 30.0) -> None:
        self._folder = folder.absolute()
        self._names = ContainerNames(prefix)
        self._timeout = timeout
        self._launcher = LocalLauncher(self._folder, self._names.prefix)
        self._pumps: set[ThreadPump] = set()

    async def open(self) -> None:
        """Make the folder. Idempotent."""
        await self._run(self._launcher.make_folder, "make the scratch folder")

    async def close(self) -> None:
        """Let go of threads and files. Containers go on. Idempotent."""
        await asyncio.gather(*(pump.close() for pump in tuple(self._pumps)))

    async def ping(self) -> EngineInfo:
        """Return what runs jobs: this machine."""
        await self.open()
        return EngineInfo(
            name="local",
            version=platform.release(),
            detail=f"no isolation; jobs run as processes in {self._folder}",
        )

    async def limits_disk(self) -> bool:
        """Return False: a process may write wherever its user may."""
        return False

    async def observe(self) -> Sequence[ObservedContainer]:
        """Return all containers of our namespace, and no others."""
        return await self._run(self._observe, "list the scratch folders")

    def container_name(self, job_id: str, attempt: int) -> str:
        """Return the one name a container of this attempt has."""
        return self._names.for_job(job_id, attempt)

    async def launch(self, name: str, spec: ContainerSpec) -> None:
        """Have a process group of that name wait for its project."""
        scratch = self._scratch(name)
        await self._run(lambda: self._launcher.launch(scratch, spec.key), f"launch {name}")

    async def feed(self, name: str, tar: SizedTar, sink: OutputSink) -> ThreadPump:
        """Send the project, end the input; return the running pump.

        Returns when the first output has come, which means that the project
        arrived whole.
        """
        if await self.exit_of(name) is not None:
            raise ContainerGone(f"{name} has ended")
        pump = await self.follow(name, sink, skip=0)
        try:
            await self._send(name, tar, pump)
        except BaseException:
            await asyncio.shield(pump.close())
            raise
        return pump

    async def follow(self, name: str, sink: OutputSink, *, skip: int) -> ThreadPump:
        """Send the container's output from its start, less ``skip`` bytes, to ``sink``."""
        scratch = self._scratch(name)
        source = await self._run(lambda: FileTail(scratch), f"follow {name}")
        pump = ThreadPump(source, sink, name=name, skip=skip)
        self._pumps.add(pump)
        pump.on_end(self._pumps.discard)
        return pump

    async def has_output(self, name: str) -> bool:
        """Return whether the container has written anything."""
        return self._look(name, lambda scratch: scratch.output.stat().st_size > 0)

    async def exit_of(self, name: str) -> ContainerExit | None:
        """Return how the container ended, None while it lives."""
        return self._look(name, _exit_of)

    async def wait_exit(self, name: str, *, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        """Return how the container ended, waiting at most ``timeout`` seconds for it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (ended := await self.exit_of(name)) is None:
            if loop.time() >= deadline:
                return None
            await asyncio.sleep(_POLL)
        return ended

    async def startup_error(self, name: str) -> str:
        """Return what a container that never ran the job script complained of, or ``""``."""
        with suppress(ContainerGone):
            text = self._look(name, lambda scratch: scratch.errors.read_bytes()[-_COMPLAINT:])
            return text.decode(errors="replace").strip()
        return ""

    async def stop(self, name: str, *, grace: float) -> None:
        """SIGTERM to the group, ``grace`` seconds, SIGKILL. Succeeds on what has ended."""
        scratch = self._scratch(name)
        with suppress(FileNotFoundError):
            if scratch.ended() is not None:
                return
            leader = scratch.leader()
            leader.kill_group(signal.SIGTERM)
            await _wait_dead(leader, grace)
            await self._kill(scratch)

    async def visit_files(
        self, name: str, path: str, visit: FileVisitor, *, most_bytes: int
    ) -> bool:
        """Show ``visit`` what an ended container has at ``path``."""
        self._look(name, lambda scratch: scratch.about())
        root = self._scratch(name).root
        return await self._run(
            lambda: visit_files(root, path, visit, most_bytes=most_bytes),
            f"copy files out of {name}",
        )

    async def remove(self, name: str) -> None:
        """Kill what runs and delete the folder. Succeeds on what is gone."""
        scratch = self._scratch(name)
        # Two may remove it at once; the rename decides whose it is to delete.
        with suppress(FileNotFoundError, ContainerGone):
            await self._kill(scratch)
            await self._run(lambda: self._delete(scratch), f"remove {name}")

    async def purge(self) -> None:
        """Remove every container of the namespace."""
        for container in await self.observe():
            await self.remove(container.name)

    async def _send(self, name: str, tar: SizedTar, pump: ThreadPump) -> None:
        scratch = self._scratch(name)
        broken: InputBroken | None = None
        try:
            channel = await self._run(
                lambda: FifoInput(scratch, timeout=self._timeout),
                f"feed {name}",
                discard=FifoInput.close,
            )
            await send_project(tar, channel, pump, name=name, stall=self._timeout)
        except InputBroken as error:
            broken = error
        await settle_feed(
            pump, name=name, broken=broken, complaint=lambda: self.startup_error(name)
        )

    def _scratch(self, name: str) -> ScratchFolder:
        if not self._names.fits(name) or Path(name).name != name:
            raise ContainerGone(f"{name!r} is not a name of this server's")
        return ScratchFolder(self._folder / name)

    def _look(self, name: str, look: Callable[[ScratchFolder], T]) -> T:
        try:
            return look(self._scratch(name))
        except FileNotFoundError:
            raise ContainerGone(f"there is no container {name}") from None
        except OSError as error:
            raise EngineUnavailable(f"the scratch folder cannot be read: {error}") from error

    async def _run(
        self, work: Callable[[], T], about: str, *, discard: Callable[[T], object] = lambda _: None
    ) -> T:
        try:
            return await run_in_thread(work, name=about, discard=discard)
        except FileNotFoundError as error:
            raise ContainerGone(f"{about}: there is no {error.filename}") from error
        except OSError as error:
            raise EngineError(f"{about}: {error}") from error

    def _observe(self) -> list[ObservedContainer]:
        self._launcher.make_folder()
        found = []
        for scratch in scratch_folders(self._folder, self._names.prefix):
            with suppress(FileNotFoundError):  # it was removed while we looked
                found.append(self._observed(scratch))
        return found

    def _observed(self, scratch: ScratchFolder) -> ObservedContainer:
        job_id, attempt = self._names.parse(scratch.name) or (None, None)
        return ObservedContainer(
            name=scratch.name,
            state=ContainerState.RUNNING if scratch.lives() else ContainerState.EXITED,
            job_id=job_id,
            attempt=attempt,
            created_at=scratch.created_at(),
        )

    async def _kill(self, scratch: ScratchFolder) -> None:
        leader = scratch.leader()
        leader.kill_group(signal.SIGKILL)
        if not await _wait_dead(leader, _KILL_PATIENCE):
            raise EngineUnavailable(f"{scratch.name} does not end, though it was killed")
        if scratch.ended() is None:
            scratch.record_kill()

    def _delete(self, scratch: ScratchFolder) -> None:
        doomed = ScratchFolder(hidden_place(self._folder))
        scratch.path.rename(doomed.path)
        doomed.delete()


def _exit_of(scratch: ScratchFolder) -> ContainerExit | None:
    if scratch.lives():
        return None
    # Read after the look at the process: it records its end before it goes.
    ended = scratch.ended()
    if ended is None:
        raise ContainerGone(f"the processes of {scratch.name} vanished")
    return ended


async def _wait_dead(leader: GroupLeader, patience: float) -> bool:
    deadline = asyncio.get_running_loop().time() + patience
    while leader.alive():
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL)
    return True
