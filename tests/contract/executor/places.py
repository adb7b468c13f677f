"""Executors from outside: the jobs they are given, and what is done behind their backs."""

import asyncio
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import docker
import pytest

from ci_common.executor import FED_MARKER, SizedTar
from ci_controller.containers import ContainerManager
from ci_controller.local import LocalExecutor
from tests.fakes.executor import FakeContainer, FakeEngine, FakeExecutor
from tests.fakes.tars import pieces

NOT_FED = 125
DEADLINE = 30.0
"""Seconds after which a test that waits for something has failed."""
REAL = ["local", pytest.param("docker", marks=pytest.mark.docker)]
"""The executors that run something."""


@dataclass(frozen=True)
class Program:
    """What a job does: say ``first``; if ``holds``, wait to be released; say ``then``; exit."""

    first: bytes = b"started\n"
    then: bytes = b""
    exit_code: int = 0
    holds: bool = False
    ignores_sigterm: bool = False

    def files(self) -> dict[str, bytes]:
        """Return the project that does it on a real executor."""
        lines = [
            f"[ -e {FED_MARKER} ] || exit {NOT_FED}",
            "exec 2>&1 </dev/null",
            "trap '' TERM" if self.ignores_sigterm else "",
            "cat first",
            "while [ ! -e released ]; do sleep 0.01; done" if self.holds else "",
            "cat then",
            f"exit {self.exit_code}",
        ]
        return {"job.sh": "\n".join(lines).encode(), "first": self.first, "then": self.then}

    def begin(self, container: FakeContainer) -> None:
        """Do it on a fake one."""
        container.ignores_sigterm = self.ignores_sigterm
        if self.first:
            container.write(self.first)
        if not self.holds:
            self.end(container)

    def end(self, container: FakeContainer) -> None:
        if self.then:
            container.write(self.then)
        container.exit(self.exit_code)


def tar_of(files: dict[str, bytes], *, marker: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in (files | ({FED_MARKER: b""} if marker else {})).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class Collector:
    """A sink that can be waited on."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._loop = asyncio.get_running_loop()
        self._grown = asyncio.Event()

    def __call__(self, data: bytes) -> None:
        self.data += data
        self._loop.call_soon_threadsafe(self._grown.set)

    async def holds(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.data) < count:
                await self._grown.wait()
                self._grown.clear()


class Place(Protocol):
    """Where an executor's containers are, seen from outside of it."""

    def executor(self, prefix: str) -> Any: ...

    def prepare(self, program: Program) -> SizedTar: ...

    async def release(self, name: str) -> None: ...

    async def vanish(self, name: str) -> None: ...


class FakePlace:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.program = Program()

    def executor(self, prefix: str) -> FakeExecutor:
        return FakeExecutor(self.engine, prefix)

    def prepare(self, program: Program) -> SizedTar:
        self.program = program
        self.engine.on_fed = program.begin
        return pieces(tar_of(program.files()))

    async def release(self, name: str) -> None:
        self.program.end(self.engine.containers[name])

    async def vanish(self, name: str) -> None:
        self.engine.vanish(name)


class LocalPlace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def executor(self, prefix: str) -> LocalExecutor:
        return LocalExecutor(self.folder, prefix)

    def prepare(self, program: Program) -> SizedTar:
        return pieces(tar_of(program.files()))

    async def release(self, name: str) -> None:
        (self.folder / name / "root" / "released").touch()

    async def vanish(self, name: str) -> None:
        await LocalExecutor(self.folder, name.partition("ci-")[0]).remove(name)


class DockerPlace:
    def __init__(self) -> None:
        self.client = docker.from_env()

    def executor(self, prefix: str) -> ContainerManager:
        return ContainerManager(prefix)

    def prepare(self, program: Program) -> SizedTar:
        return pieces(tar_of(program.files()))

    async def release(self, name: str) -> None:
        container = await asyncio.to_thread(self.client.containers.get, name)
        await asyncio.to_thread(container.exec_run, "touch /ci/released")

    async def vanish(self, name: str) -> None:
        container = await asyncio.to_thread(self.client.containers.get, name)
        await asyncio.to_thread(container.remove, force=True)
