"""The executor without an engine beyond the contract: processes, folders, what is left behind."""

import asyncio
import io
import os
import shutil
import signal
import socket
import sys
import tarfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from ci_common.errors import ContainerFailed, ContainerGone, EngineUnavailable
from ci_common.executor import FED_MARKER, ContainerSpec, ContainerState
from ci_controller.local import LocalExecutor
from ci_controller.local_engine import processes
from ci_controller.local_engine.environment import job_variables
from ci_controller.local_engine.processes import GroupLeader, look_up
from ci_controller.local_engine.scratch import About, ScratchFolder
from tests.fakes.tars import Tar, pieces
from tests.waiting import eventually

DEADLINE = 30.0
SPEC = ContainerSpec(image="any", memory=1, cpus=1.0, pids=1, network="none", log_limit=1)


def project(script: str) -> Tar:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (
            ("job.sh", f"exec 2>&1 </dev/null\n{script}".encode()),
            (FED_MARKER, b""),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return pieces(buffer.getvalue())


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
async def executor(folder) -> AsyncIterator[LocalExecutor]:
    executor = LocalExecutor(folder, timeout=5.0)
    yield executor
    await executor.purge()
    await executor.close()


@pytest.fixture
def name(executor) -> str:
    return executor.container_name("job", 1)


async def start(executor: LocalExecutor, name: str, script: str) -> list[bytes]:
    """Launch and feed; return what arrives, as it arrives."""
    got: list[bytes] = []
    await executor.launch(name, SPEC)
    await executor.feed(name, project(script), got.append)
    return got


async def run(executor: LocalExecutor, name: str, script: str) -> str:
    got: list[bytes] = []
    await executor.launch(name, SPEC)
    pump = await executor.feed(name, project(script), got.append)
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    return b"".join(got).decode()


async def dead(pid: int) -> None:
    def ended() -> bool:
        found = look_up(pid)
        return found is None or found.ended

    await asyncio.to_thread(eventually, ended, what=f"process {pid} has ended")


def leader_of(folder: Path, name: str) -> GroupLeader:
    return ScratchFolder(folder / name).leader()


async def test_a_job_gets_a_folder_a_home_and_a_place_for_temporary_files(executor, name, folder):
    output = await run(
        executor, name, 'pwd; echo "$HOME"; echo "$TMPDIR"; touch a "$HOME/b" "$TMPDIR/c"'
    )
    base = folder / name
    assert output.split() == [str(base / each) for each in ("root", "home", "tmp")]


async def test_the_servers_own_variables_stay_with_the_server(executor, name, monkeypatch):
    monkeypatch.setenv("CI_API_KEY", "secret")
    monkeypatch.setenv("TZ", "Europe/Paris")
    output = await run(executor, name, "env")
    assert "secret" not in output
    assert "TZ=Europe/Paris" in output


async def test_a_job_does_not_hold_the_servers_listening_socket(executor, name):
    with socket.socket() as listening:
        listening.set_inheritable(True)  # as uvicorn makes it, for its workers
        inode = os.fstat(listening.fileno()).st_ino
        output = await run(executor, name, "readlink /proc/$$/fd/*")
    assert output
    assert f"socket:[{inode}]" not in output


def test_the_servers_virtual_environment_is_not_on_the_jobs_path(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", "/srv/venv")
    monkeypatch.setattr(sys, "base_prefix", "/usr/local")
    inherited = {"PATH": os.pathsep.join(["/srv/venv/bin", "/usr/bin"])}
    found = job_variables(ScratchFolder(tmp_path), caches=tmp_path, inherited=inherited)
    assert found["PATH"].split(os.pathsep) == ["/usr/bin", "/usr/local/bin"]


async def test_stop_takes_the_whole_group(executor, name):
    got = await start(executor, name, "sleep 1000 & echo $!; wait")
    await executor.stop(name, grace=DEADLINE)
    await dead(int(b"".join(got)))
    assert (await executor.exit_of(name)).exit_code == 143


async def test_what_ignores_sigterm_in_the_group_is_killed(executor, name):
    script = """sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & wait"""
    got = await start(executor, name, script)
    await executor.stop(name, grace=DEADLINE)
    await dead(int(b"".join(got)))


async def test_what_a_job_leaves_running_is_killed_at_its_end(executor, name):
    output = await run(executor, name, "sleep 1000 & echo $!")
    await dead(int(output))
    assert (await executor.wait_exit(name, timeout=DEADLINE)).exit_code == 0


async def test_a_signal_to_its_own_group_is_the_jobs_affair(executor, name):
    await run(executor, name, "echo before; kill -TERM 0; sleep 1000")
    assert (await executor.wait_exit(name, timeout=DEADLINE)).exit_code == 143


async def test_a_job_that_vanished_without_a_word_is_gone(executor, name, folder):
    got: list[bytes] = []
    await executor.launch(name, SPEC)
    pump = await executor.feed(name, project("echo here; sleep 1000"), got.append)
    # As a reboot would: nobody records an end.
    leader_of(folder, name).kill_group(signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        await pump.wait()
    with pytest.raises(ContainerGone, match="vanished"):
        await executor.wait_exit(name, timeout=DEADLINE)
    (seen,) = await executor.observe()
    assert seen.state is ContainerState.EXITED
    assert await executor.has_output(name)


async def test_a_process_id_used_again_is_neither_ours_nor_killed(executor, name, folder):
    await run(executor, name, "echo done")
    await executor.wait_exit(name, timeout=DEADLINE)
    bystander = await asyncio.create_subprocess_exec("sleep", "1000", start_new_session=True)
    scratch = ScratchFolder(folder / name)
    (scratch.path / "exit").unlink()
    scratch.write_about(About("", SPEC.key, bystander.pid, "another boot:1"))

    with pytest.raises(ContainerGone):
        await executor.exit_of(name)
    await executor.stop(name, grace=0)
    await executor.remove(name)

    assert bystander.returncode is None
    assert not look_up(bystander.pid).ended
    bystander.kill()
    await bystander.wait()


async def test_an_end_is_recorded_once(executor, name, folder):
    await run(executor, name, "echo done; exit 3")
    await executor.wait_exit(name, timeout=DEADLINE)
    ScratchFolder(folder / name).record_kill()
    assert (await executor.exit_of(name)).exit_code == 3


async def test_remove_deletes_what_the_job_made_unwritable(executor, name, folder):
    outside = folder.parent / "outside"
    outside.mkdir()
    script = f"mkdir -p a/b; touch a/b/c; ln -s {outside} link; chmod 500 a a/b; echo x"
    await run(executor, name, script)
    await executor.remove(name)
    assert [path.name for path in folder.iterdir()] == []
    assert outside.is_dir()


async def test_two_namespaces_share_a_folder(executor, folder):
    other = LocalExecutor(folder, "other_")
    await executor.launch(executor.container_name("a", 1), SPEC)
    await other.launch(other.container_name("a", 1), SPEC)
    assert [each.name for each in await executor.observe()] == ["ci-a-1"]
    assert [each.name for each in await other.observe()] == ["other_ci-a-1"]
    await other.purge()
    assert len(await executor.observe()) == 1
    await other.close()


@pytest.mark.parametrize("name", ["../ci-x-1", "ci-../../x-1", "other_ci-x-1", ""])
async def test_names_that_are_not_ours_touch_nothing(executor, name, tmp_path):
    (tmp_path / "ci-x-1").mkdir()
    with pytest.raises(ContainerGone):
        await executor.launch(name, SPEC)
    with pytest.raises(ContainerGone):
        await executor.exit_of(name)
    assert (tmp_path / "ci-x-1").is_dir()


async def test_what_crashed_processes_left_is_swept(executor, folder):
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    ours = folder / f".{os.getpid()}-being-made"
    for path in (folder / f".{gone.pid}-half-made", ours):
        (path / "root").mkdir(parents=True)
    await executor.open()
    assert [path.name for path in folder.iterdir()] == [ours.name]
    ScratchFolder(ours).delete()


async def test_a_supervisor_whose_launcher_died_ends_by_itself(folder, tmp_path):
    reader, writer = os.pipe()
    leader = processes.spawn(
        ["sh", "-c", "read -r go || exit; sleep 1000"],
        environment=os.environ,
        stdin=reader,
        output=tmp_path / "out",
        errors=tmp_path / "err",
    )
    os.close(reader)
    os.close(writer)
    await dead(leader.pid)
    assert not leader.alive()


async def test_a_folder_that_cannot_be_made_is_an_engine_that_is_not_there(tmp_path):
    (tmp_path / "file").touch()
    executor = LocalExecutor(tmp_path / "file" / "scratch")
    for call in (executor.open(), executor.ping(), executor.observe()):
        with pytest.raises(EngineUnavailable, match="cannot be made"):
            await call
    await executor.close()


async def test_a_machine_without_tar_fails_with_the_cause(executor, name, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "ci_controller.local_engine.launching.job_variables",
        lambda *_, **__: {"PATH": str(tmp_path)},
    )
    # Only what the supervisor itself needs.
    for tool in ("sh", "ln"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    await executor.launch(name, SPEC)
    with pytest.raises(ContainerFailed, match="tar"):
        await executor.feed(name, project("echo never"), print)
    assert not await executor.has_output(name)


async def test_a_tar_that_stands_still_fails_and_runs_nothing(folder):
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck() -> Iterable[bytes]:
        yield b"x"
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    executor = LocalExecutor(folder, timeout=0.1)
    name = executor.container_name("job", 1)
    await executor.launch(name, SPEC)
    feeding = asyncio.create_task(executor.feed(name, Tar(stuck(), 1), print))
    loop.call_later(0.5, release.set)
    with pytest.raises(ContainerFailed, match="nothing moved"):
        await feeding
    assert (await executor.wait_exit(name, timeout=DEADLINE)).exit_code != 0
    assert not await executor.has_output(name)
    await executor.purge()
    await executor.close()


def test_a_process_is_known_by_its_id_and_its_beginning():
    found = look_up(os.getpid())
    assert found is not None
    assert GroupLeader(os.getpid(), found.began).alive()
    assert not GroupLeader(os.getpid(), "another boot:1").alive()
    assert look_up(2**22 + 1) is None


async def test_where_there_is_no_proc_ps_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    child = await asyncio.create_subprocess_exec("sleep", "1000")
    found = look_up(child.pid)
    assert found is not None
    assert not found.ended
    assert GroupLeader(child.pid, found.began).alive()
    child.kill()
    await child.wait()
    assert look_up(child.pid) is None
