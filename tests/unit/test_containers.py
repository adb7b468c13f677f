"""The Docker executor beyond the contract: hardening, networks, images that lack something."""

import asyncio
import io
import tarfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.errors import ConfigurationError, ContainerFailed, ImageMissing
from ci_common.executor import FED_MARKER, ContainerExit, ContainerSpec
from ci_controller.container_names import ContainerNames
from ci_controller.containers import ContainerManager
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.configuration import container_config
from tests.fakes.tars import Tar, pieces

DEADLINE = 30.0

SPEC = ContainerSpec(
    image="any",
    memory=128 * 1024**2,
    cpus=64.0,
    pids=50,
    network="none",
    log_limit=1024**2,
)


def project(script: str) -> Tar:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("job.sh", f"exec 2>&1\n{script}".encode()), (FED_MARKER, b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return pieces(buffer.getvalue())


def test_a_quota_may_exceed_the_machines_cores():
    host = container_config(SPEC, labels={}, network="none")["HostConfig"]
    assert host["CpuQuota"] / host["CpuPeriod"] == 64
    assert "NanoCpus" not in host


def test_the_log_never_rotates_within_its_limit():
    host = container_config(SPEC, labels={}, network="none")["HostConfig"]
    options = host["LogConfig"]["Config"]
    # 26 bytes are what an empty line takes in the engine's log.
    assert int(options["max-size"]) > SPEC.log_limit * 26
    assert options["max-file"] == "1"


async def test_only_our_own_network_or_none():
    manager = ContainerManager("x_")
    bad = ContainerSpec(image="any", memory=1, cpus=1, pids=1, network="host", log_limit=1)
    with pytest.raises(ContainerFailed, match="host"):
        await manager.launch("x_ci-a-1", bad)
    await manager.close()


@pytest.mark.parametrize("prefix", ["-a", "a b", "a/b", "ä"])
def test_a_prefix_that_cannot_begin_a_name_is_refused(prefix):
    with pytest.raises(ConfigurationError, match="prefix"):
        ContainerManager(prefix)


@given(st.from_regex(r"[a-z0-9-]+", fullmatch=True), st.integers(min_value=0, max_value=10**6))
def test_names_are_read_back(job_id, attempt):
    names = ContainerNames("p_")
    name = names.for_job(job_id, attempt)
    expected = None if job_id.startswith("standby-") or job_id == "standby" else (job_id, attempt)
    assert names.parse(name) == expected
    assert names.parse(names.for_standby("abc")) is None


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
async def manager(namespace) -> AsyncIterator[ContainerManager]:
    manager = ContainerManager(namespace)
    yield manager
    await manager.purge()
    await manager.close()


@pytest.fixture
def spec(runner_image) -> ContainerSpec:
    return ContainerSpec(
        image=runner_image,
        memory=64 * 1024**2,
        cpus=0.5,
        pids=64,
        network="none",
        log_limit=1024**2,
    )


async def outcome(
    manager: ContainerManager, spec: ContainerSpec, script: str
) -> tuple[str, object]:
    """Run a script in a container of its own; return its output and its exit."""
    name = manager.container_name(uuid.uuid4().hex, 1)
    got: list[bytes] = []
    await manager.launch(name, spec)
    pump = await manager.feed(name, project(script), got.append)
    async with asyncio.timeout(60):
        await pump.wait()
    return b"".join(got).decode(), await manager.wait_exit(name, timeout=DEADLINE)


@pytest.mark.docker
async def test_containers_are_hardened(manager, spec, engine, namespace):
    name = manager.container_name("job", 1)
    await manager.launch(name, replace(spec, network="bridge"))
    found = engine.api.inspect_container(name)
    host, config = found["HostConfig"], found["Config"]

    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 64
    assert host["Memory"] == host["MemorySwap"] == 64 * 1024**2
    assert host["CpuQuota"] / host["CpuPeriod"] == 0.5
    assert host["Init"]
    assert not host["Privileged"]
    assert not host["Binds"]
    assert found["Mounts"] == []
    assert host["LogConfig"]["Type"] == "local"
    assert config["Labels"]["ci.namespace"] == namespace
    assert config["Labels"]["ci.role"] == "job"
    assert config["Labels"]["ci.key"] == replace(spec, network="bridge").key
    assert not config["Tty"]
    assert list(found["NetworkSettings"]["Networks"]) == [f"{namespace}standby-ci"]


@pytest.mark.docker
async def test_the_kernel_agrees(manager, spec):
    output, _ = await outcome(
        manager, spec, "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/1/status"
    )
    values = dict(line.split(":\t") for line in output.splitlines())
    assert int(values["CapEff"], 16) == int(values["CapBnd"], 16) == 0
    assert values["NoNewPrivs"] == "1"
    assert values["Seccomp"] == "2"


@pytest.mark.docker
async def test_a_capability_can_be_given_back(manager, spec):
    script = "touch f && chown 1234 f && echo given"
    refused, _ = await outcome(manager, spec, script)
    given, _ = await outcome(manager, replace(spec, cap_add=("CHOWN",)), script)
    assert "given" not in refused
    assert given == "given\n"


@pytest.mark.docker
async def test_a_user_other_than_root(manager, spec):
    output, ended = await outcome(manager, replace(spec, user="1000:1000"), "id -u; touch here")
    assert (output, ended.exit_code) == ("1000\n", 0)


@pytest.mark.docker
async def test_out_of_memory_is_reported(manager, spec):
    script = "exec python3 -c 'x = bytearray(500_000_000)'"
    _, ended = await outcome(manager, spec, f"echo begun\n{script}")
    assert (ended.exit_code, ended.oom_killed) == (137, True)


@pytest.mark.docker
async def test_a_fork_bomb_stays_inside(manager, spec):
    script = "i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done"
    output, _ = await outcome(manager, spec, f"echo begun\n{script}")
    assert "fork" in output


@pytest.mark.docker
async def test_containers_do_not_hear_each_other(manager, spec, engine, namespace):
    listener = manager.container_name("listener", 1)
    bridged = replace(spec, network="bridge")
    await manager.launch(listener, bridged)
    serve = "exec python3 -u -c \"import http.server as h; h.test(port=8000, bind='0.0.0.0')\""
    pump = await manager.feed(listener, project(f"echo up\n{serve}"), lambda _: None)
    networks = engine.api.inspect_container(listener)["NetworkSettings"]["Networks"]
    address = networks[f"{namespace}standby-ci"]["IPAddress"]
    try_it = f"socket.create_connection(('{address}', 8000), 1)"
    output, ended = await outcome(
        manager, bridged, f'echo go; python3 -c "import socket; {try_it}"'
    )
    assert ended.exit_code == 1
    assert "TimeoutError" in output or "timed out" in output
    await pump.close()


@pytest.mark.docker
async def test_a_network_that_was_pruned_is_made_again(manager, spec, engine, namespace):
    await manager.open()
    engine.networks.get(f"{namespace}standby-ci").remove()
    output, _ = await outcome(manager, replace(spec, network="bridge"), "echo fine")
    assert output == "fine\n"


@pytest.mark.docker
async def test_two_processes_make_one_network(manager, engine, namespace):
    others = [ContainerManager(namespace) for _ in range(4)]
    await asyncio.gather(*(other.open() for other in others))
    await manager.purge()
    assert engine.networks.list(names=[f"{namespace}standby-ci"]) == []
    for other in others:
        await other.close()


@pytest.mark.docker
async def test_a_missing_image_is_named_with_the_way_out(manager, spec):
    missing = f"localhost:1/no-such-image-{uuid.uuid4().hex}:1"
    with pytest.raises(ImageMissing) as failure:
        await manager.launch(manager.container_name("job", 1), replace(spec, image=missing))
    assert missing in failure.value.detail
    assert "docker pull" in failure.value.hint


@pytest.mark.docker
async def test_an_unknown_runtime_fails_with_the_engines_words(manager, spec):
    with pytest.raises(ContainerFailed, match="no-such-runtime"):
        await manager.launch(
            manager.container_name("job", 1), replace(spec, runtime="no-such-runtime")
        )


@pytest.fixture
def bare_image(engine) -> Iterator[str]:
    """An image with nothing to run in it."""
    tag = f"bare-{uuid.uuid4().hex}:1"
    repository, _, version = tag.partition(":")
    engine.api.import_image_from_data(b"".join(project("")), repository=repository, tag=version)
    yield tag
    engine.images.remove(tag)


@pytest.mark.docker
async def test_an_image_without_a_shell_fails_with_the_cause(manager, spec, bare_image):
    name = manager.container_name("job", 1)
    await manager.launch(name, replace(spec, image=bare_image))
    with pytest.raises(ContainerFailed, match="exec sh failed") as failure:
        await manager.feed(name, project("echo never"), print)
    assert "`sh`, `head` and `tar`" in failure.value.hint
    await manager.remove(name)


@pytest.fixture
def tarless_image(engine, runner_image) -> Iterator[str]:
    tag = f"tarless-{uuid.uuid4().hex}:1"
    repository, _, version = tag.partition(":")
    container = engine.containers.create(
        runner_image, ["sh", "-c", 'rm "$(command -v tar)"'], network_mode="none"
    )
    container.start()
    container.wait()
    container.commit(repository=repository, tag=version)
    container.remove()
    yield tag
    engine.images.remove(tag)


@pytest.mark.docker
async def test_an_image_without_tar_fails_with_the_cause(manager, spec, tarless_image):
    name = manager.container_name("job", 1)
    await manager.launch(name, replace(spec, image=tarless_image))
    with pytest.raises(ContainerFailed, match="tar"):
        await manager.feed(name, project("echo never"), print)
    assert "tar" in await manager.startup_error(name)
    assert not await manager.has_output(name)
    await manager.remove(name)


@pytest.mark.docker
async def test_anothers_container_of_our_name_is_left_alone(manager, spec, engine, runner_image):
    name = manager.container_name("job", 1)
    foreign = engine.containers.create(runner_image, ["true"], name=name)
    try:
        with pytest.raises(ContainerFailed, match="not this server's"):
            await manager.launch(name, spec)
        assert await manager.observe() == []
        foreign.reload()
        assert foreign.status == "created"
    finally:
        foreign.remove()


@pytest.mark.docker
async def test_what_carries_our_label_under_another_name_is_not_ours(
    manager, engine, runner_image, namespace
):
    copy = engine.containers.create(
        runner_image,
        ["true"],
        name=f"{uuid.uuid4().hex}-debugging",
        labels={"ci.namespace": namespace},
    )
    try:
        assert await manager.observe() == []
    finally:
        copy.remove()


@pytest.mark.docker
async def test_an_images_own_entrypoint_and_command_do_not_run(manager, spec, engine, runner_image):
    tag = f"busy-{uuid.uuid4().hex}:1"
    repository, _, version = tag.partition(":")
    container = engine.containers.create(runner_image, ["true"], network_mode="none")
    changes = ['ENTRYPOINT ["false"]', 'CMD ["nonsense"]', "WORKDIR /tmp"]
    container.commit(repository=repository, tag=version, changes=changes)
    container.remove()
    try:
        output, _ = await outcome(manager, replace(spec, image=tag), "pwd; echo $# arguments")
        assert output == "/ci\n0 arguments\n"
        await manager.purge()
    finally:
        engine.images.remove(tag)


@pytest.mark.docker
async def test_pip_installs_without_capabilities(manager, spec, tmp_path):
    script = """
    mkdir -p made/hello && echo 'x = 1' > made/hello/__init__.py
    cat > made/pyproject.toml <<'END'
[project]
name = "hello"
version = "1"
END
    python3 -m venv --system-site-packages --without-pip venv
    PATH=$PWD/venv/bin:$PATH
    python -m pip install --no-index --no-build-isolation --quiet ./made && cd / &&
    python -c 'import hello; print(hello.x)'
    """
    output, ended = await outcome(manager, replace(spec, memory=512 * 1024**2, cpus=2), script)
    assert ended.exit_code == 0, output
    assert output.endswith("1\n")


@pytest.fixture
async def calls(manager, monkeypatch) -> list[str]:
    """What is asked of the engine from now on, without the names of containers."""
    await manager.open()
    async with asyncio.timeout(DEADLINE):
        while not manager._exits._hears:  # noqa: ASYNC110 -- what happens in a thread has no event
            await asyncio.sleep(0)
    asked: list[str] = []
    run = EngineCalls._run

    async def counted(self, work, about, **options):
        asked.append(about.rpartition(" ")[0])
        return await run(self, work, about, **options)

    monkeypatch.setattr(EngineCalls, "_run", counted)
    return asked


async def run_to_its_removal(manager: ContainerManager, name: str) -> None:
    pump = await manager.feed(name, project("echo hello; exit 3"), lambda _: None)
    async with asyncio.timeout(60):
        await pump.wait()
    assert await manager.wait_exit(name, timeout=DEADLINE) == ContainerExit(exit_code=3)
    await manager.remove(name)


FEED_AND_END = ["attach to the output of", "inspect", "attach to the input of", "remove"]


@pytest.mark.docker
async def test_what_a_job_in_a_standby_asks_of_the_engine(manager, spec, calls):
    standby, name = manager.standby_name("abc"), manager.container_name("job", 1)
    await manager.launch(standby, spec)
    calls.clear()
    assert await manager.take_standby(standby, name, spec)
    await run_to_its_removal(manager, name)
    assert calls == ["take", *FEED_AND_END]


@pytest.mark.docker
async def test_what_a_job_without_a_standby_asks_of_the_engine(manager, spec, calls):
    name = manager.container_name("job", 1)
    await manager.launch(name, spec)
    await run_to_its_removal(manager, name)
    assert calls == ["create", "start", *FEED_AND_END]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.docker
async def test_ended_streams_leave_no_threads_or_sockets(manager, spec):
    await outcome(manager, spec, "echo warm")
    before = open_files(), threading.active_count()
    for _ in range(3):
        await outcome(manager, spec, "echo again")
    assert open_files() <= before[0] + 2
    assert threading.active_count() <= before[1] + 1
