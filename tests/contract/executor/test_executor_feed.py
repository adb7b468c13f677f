"""What every executor keeps about feeding: all of a project arrives, or nothing of it runs."""

import asyncio
import io
import sys
import tarfile
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ci_common.errors import ContainerFailed, ContainerGone
from ci_common.executor import FED_MARKER, Executor
from tests.contract.executor.places import (
    DEADLINE,
    REAL,
    Collector,
    DockerPlace,
    FakePlace,
    Program,
    tar_of,
)
from tests.fakes.tars import Tar, pieces


async def runs_nothing(executor: Executor, name: str) -> None:
    """Fail unless what was half fed runs nothing, now or when it is stopped."""
    assert not await executor.has_output(name)
    await executor.stop(name, grace=0)
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code != 0
    assert not await executor.has_output(name)


async def test_a_project_without_its_marker_runs_nothing(executor, name, spec):
    await executor.launch(name, spec)
    sink = Collector()
    project = tar_of(Program().files(), marker=False)
    with suppress(ContainerFailed, ContainerGone):
        pump = await executor.feed(name, pieces(project), sink)
        await pump.wait()
    ended = await executor.wait_exit(name, timeout=DEADLINE)
    assert ended is not None
    assert ended.exit_code != 0
    assert not sink.data
    assert not await executor.has_output(name)


async def test_a_tar_that_breaks_off_runs_nothing(executor, name, spec):
    whole = tar_of(Program().files() | {"big": bytes(1_000_000)})

    def broken() -> Iterator[bytes]:
        yield from pieces(whole[: len(whole) // 2])
        raise ContainerFailed("the stash cannot be read")

    sink = Collector()
    await executor.launch(name, spec)
    with pytest.raises(ContainerFailed, match="the stash cannot be read"):
        await executor.feed(name, Tar(broken(), len(whole)), sink)
    await runs_nothing(executor, name)
    assert not sink.data


async def test_a_cancelled_feed_runs_nothing_and_closes_its_tar(executor, name, spec):
    begun, closed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    whole = tar_of(Program().files() | {"big": bytes(100_000_000)})

    def endless() -> Iterator[bytes]:
        try:
            for number, piece in enumerate(pieces(whole)):
                if number == 20:
                    loop.call_soon_threadsafe(begun.set)
                yield piece
        finally:
            loop.call_soon_threadsafe(closed.set)

    sink = Collector()
    await executor.launch(name, spec)
    feeding = asyncio.create_task(executor.feed(name, Tar(endless(), len(whole)), sink))
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        feeding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await feeding
        await closed.wait()
    await runs_nothing(executor, name)
    assert not sink.data


async def test_garbage_for_a_project_is_a_failure_with_a_cause(place, executor, name, spec):
    await executor.launch(name, spec)
    if isinstance(place, FakePlace):
        place.engine.cut_feed_at = 1000
    with pytest.raises(ContainerFailed) as failure:
        await executor.feed(name, pieces(bytes(range(256)) * 400), Collector())
    assert isinstance(place, FakePlace) or "tar" in failure.value.detail
    await runs_nothing(executor, name)


FEEDER = """
import asyncio, sys
from pathlib import Path
from ci_common.executor import ContainerSpec
from tests.contract.executor.places import DockerPlace, LocalPlace, Program, tar_of
from tests.fakes.tars import Tar, pieces

whole = tar_of(Program().files() | {"big": bytes(4_000_000)})

def half():
    yield from pieces(whole[: len(whole) // 2])
    print("half", flush=True)
    sys.stdin.read()

async def main(kind, folder, prefix, name):
    place = DockerPlace() if kind == "docker" else LocalPlace(Path(folder))
    await place.executor(prefix).feed(name, Tar(half(), len(whole)), print)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("place", REAL, indirect=True)
async def test_a_feeder_killed_in_mid_feed_runs_nothing(
    executor, place, namespace, name, spec, tmp_path
):
    await executor.launch(name, spec)
    kind = "docker" if isinstance(place, DockerPlace) else "local"
    arguments = [sys.executable, "-c", FEEDER, kind, str(tmp_path / "scratch"), namespace, name]
    feeder = await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE)
    assert await feeder.stdout.readline() == b"half\n"
    feeder.kill()
    await feeder.communicate()
    await runs_nothing(executor, name)


@pytest.mark.parametrize("place", REAL, indirect=True)
async def test_files_arrive_with_their_permissions(executor, place, name, spec):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry_name, data, mode in (
            ("job.sh", b"exec 2>&1; ./hello; [ -x plain ] || echo not executable", 0o644),
            ("hello", b"#!/bin/sh\necho hello\n", 0o755),
            ("plain", b"", 0o644),
            (FED_MARKER, b"", 0o644),
        ):
            entry = tarfile.TarInfo(entry_name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), mode, 1234, 5678
            archive.addfile(entry, io.BytesIO(data))
    sink = Collector()
    await executor.launch(name, spec)
    pump = await executor.feed(name, pieces(buffer.getvalue()), sink)
    await pump.wait()
    assert bytes(sink.data) == b"hello\nnot executable\n"
