"""Containers on a Docker engine: the executor that jobs run on."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import requests
from docker.errors import APIError, NotFound

from ci_common.errors import ContainerFailed, ContainerGone
from ci_common.executor import (
    ContainerExit,
    ContainerSpec,
    EngineInfo,
    FileVisitor,
    ObservedContainer,
    OutputSink,
    SizedTar,
)
from ci_controller.container_names import ContainerNames
from ci_controller.docker_engine.archives import visit_archive
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.configuration import NAMESPACE, limits_disk
from ci_controller.docker_engine.endings import ended_by_itself
from ci_controller.docker_engine.exits import ExitWatch
from ci_controller.docker_engine.faults import TRANSPORT_FAULTS
from ci_controller.docker_engine.feed_command import with_length
from ci_controller.docker_engine.firewall import FirewallMode, NetworkGuard
from ci_controller.docker_engine.frames import STDERR, FrameDecoder
from ci_controller.docker_engine.inspection import exit_in, observed
from ci_controller.docker_engine.launching import Launcher
from ci_controller.docker_engine.log_lines import LogDecoder
from ci_controller.docker_engine.snapshots import DockerSnapshots
from ci_controller.docker_engine.streams import Decoder, InputStream, OutputStream
from ci_controller.feeding import NEEDS, InputBroken, send_project, settle_feed
from ci_controller.pumps import ThreadPump

_WAIT_SLICE = 30.0
"""Seconds of one wait call: as long may one linger that nobody wants any more."""
_COPY_PATIENCE = 30.0
_COPY_RATE = 20e6
"""Seconds, and bytes a second, that copying files out of a container may take."""
_COMPLAINT_LINES = 20
_READ_SIZE = 65536


class ContainerManager:
    """An ``Executor`` on Docker, found as ``docker.from_env`` finds it (``DOCKER_HOST``, TLS).

    ``container_name_prefix`` is the namespace: managers with different
    prefixes never see each other's containers. ``engine_timeout`` seconds
    bound every answer, ``pull_timeout`` the pull of a missing image; at most
    ``max_calls`` short calls are under way at once. Streams have threads of
    their own. ``firewall``: whether jobs are kept from the engine's machine.

    Raises ``ConfigurationError`` for a prefix that cannot begin a name.
    """

    def __init__(
        self,
        container_name_prefix: str = "",
        *,
        engine_timeout: float = 30.0,
        pull_timeout: float = 600.0,
        max_calls: int = 32,
        firewall: FirewallMode = "auto",
    ) -> None:
        self._names = ContainerNames(container_name_prefix)
        self._calls = EngineCalls(timeout=engine_timeout, limit=max_calls)
        self._launcher = Launcher(
            self._calls, self._names, NetworkGuard(firewall), pull_timeout=pull_timeout
        )
        self.snapshots = DockerSnapshots(self._calls, self._names, self._launcher.pull)
        self._exits = ExitWatch(self._calls, self._names.prefix)
        self._pumps: set[ThreadPump] = set()

    async def open(self) -> None:
        """Make the namespace's network. Idempotent; a launch makes up for what fails here."""
        self._exits.begin()
        await self._launcher.network()

    async def close(self) -> None:
        """Let go of threads and sockets. Containers go on. Idempotent."""
        await self._launcher.close()
        await self._exits.close()
        await asyncio.gather(*(pump.close() for pump in tuple(self._pumps)))
        self._calls.close()

    async def ping(self) -> EngineInfo:
        """Return the engine's name and versions."""
        answer = await self._calls.call(lambda client: client.version(), "ask for the version")
        return EngineInfo(
            name="docker",
            version=str(answer.get("Version", "")),
            api_version=str(answer.get("ApiVersion", "")),
            detail=f"{answer.get('Os', '')}/{answer.get('Arch', '')}",
        )

    async def limits_disk(self) -> bool:
        """Return whether the engine can bound what a container writes to its files."""
        info = await self._calls.call(lambda client: client.info(), "ask what it can")
        return limits_disk(info)

    async def observe(self) -> Sequence[ObservedContainer]:
        """Return all containers of our namespace, and no others, with one request."""
        filters = {"label": f"{NAMESPACE}={self._names.prefix}"}
        entries = await self._calls.call(
            # The SDK's higher level would inspect each of them.
            lambda client: client.containers(all=True, filters=filters),
            "list the containers",
        )
        found = (observed(entry, self._names) for entry in entries)
        return [container for container in found if container is not None]

    def container_name(self, job_id: str, attempt: int) -> str:
        """Return the one name a container of this attempt has."""
        return self._names.for_job(job_id, attempt)

    def standby_name(self, token: str) -> str:
        """Return the name of a standby."""
        return self._names.for_standby(token)

    async def take_standby(self, standby: str, name: str, spec: ContainerSpec) -> bool:
        """Give a standby the name of a job's container, if it is fit to be used."""

        def take(client: EngineClient) -> bool:
            try:
                found = client.inspect_container(standby)
                image = client.inspect_image(spec.image)  # type: ignore[no-untyped-call]
                if exit_in(found["State"]) is not None or image["Id"] != found["Image"]:
                    return False
                client.rename(standby, name)
            except (ContainerGone, NotFound):
                return False
            return True

        return await self._calls.call(take, f"take {standby}")

    async def launch(self, name: str, spec: ContainerSpec) -> None:
        """Have a started container of that name wait for its project.

        One of that name that was created and never started is started.
        """
        await self._launcher.launch(name, spec)

    async def feed(self, name: str, tar: SizedTar, sink: OutputSink) -> ThreadPump:
        """Attach to the output and send the project; return the running pump.

        Returns when the first output has come, which means that the project
        arrived whole.
        """
        output = await self._open_output(
            name, lambda client: client.open_attach(name, stdout=1), FrameDecoder()
        )
        pump = self._pump(name, output, sink, 0)
        try:
            # Not before: the stream of one that ended before it was attached to never ends.
            found = await self._running(name)
            pump.image_id = str(found["Image"])
            self._exits.watch(name, str(found["Id"]))
            await self._send(name, tar, pump)
        except BaseException:
            await asyncio.shield(pump.close())
            raise
        return pump

    async def follow(self, name: str, sink: OutputSink, *, skip: int) -> ThreadPump:
        """Send the container's output from its start, less the first ``skip`` bytes, to ``sink``.

        It comes from the engine's own log, in the order the container wrote it.
        """
        # The decoder explains why it needs the stamps.
        output = await self._open_output(
            name,
            lambda client: client.open_logs(name, stdout=1, follow=1, timestamps=1),
            LogDecoder(),
        )
        return self._pump(name, output, sink, skip)

    async def has_output(self, name: str) -> bool:
        """Return whether the container has written anything."""

        def look(client: EngineClient) -> bool:
            decoder = FrameDecoder()
            with client.open_logs(name, stdout=1) as response:
                while data := response.raw.read1(_READ_SIZE, decode_content=False):
                    if decoder.decode(data):
                        return True
            return False

        return await self._calls.call(look, f"read the log of {name}")

    async def exit_of(self, name: str) -> ContainerExit | None:
        """Return how the container ended, None while it lives."""
        state = (await self._inspect(name))["State"]
        ended = exit_in(state)
        if ended is None:
            return None
        by_itself = await self._calls.call_anew(
            lambda client: ended_by_itself(client, state), f"ask how {name} ended"
        )
        return replace(ended, by_itself=by_itself)

    async def wait_exit(self, name: str, *, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        """Return how the container ended, waiting at most ``timeout`` seconds for it."""
        ended = await self._exits.end_of(name, timeout=timeout)
        if ended is None:
            ended = await self._ask_for_exit(name, timeout)
        return ended and replace(ended, witnessed=self._exits.heard_all(name))

    async def _ask_for_exit(self, name: str, timeout: float) -> ContainerExit | None:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (ended := await self.exit_of(name)) is None:
            left = min(deadline - loop.time(), _WAIT_SLICE)
            if left <= 0:
                return None
            await self._wait_slice(name, left)
        return ended

    async def startup_error(self, name: str) -> str:
        """Return what a container that never ran the job script complained of, or ``""``."""

        def read(client: EngineClient) -> tuple[str, str]:
            error = client.inspect_container(name)["State"].get("Error") or ""
            with client.open_logs(name, stderr=1, tail=_COMPLAINT_LINES) as response:
                complaint = FrameDecoder(STDERR).decode(response.content)
            return str(error).strip(), complaint.decode(errors="replace").strip()

        try:
            parts = await self._calls.call(read, f"read the errors of {name}")
        except ContainerGone:
            return ""
        return "; ".join(part for part in parts if part)

    async def stop(self, name: str, *, grace: float) -> None:
        """SIGTERM, ``grace`` seconds (rounded up to whole ones), SIGKILL."""
        seconds = math.ceil(grace)
        try:
            await self._calls.call_long(
                lambda client: client.stop(name, timeout=seconds), f"stop {name}", timeout=seconds
            )
        except ContainerGone:
            return

    async def visit_files(
        self, name: str, path: str, visit: FileVisitor, *, most_bytes: int
    ) -> bool:
        """Show ``visit`` what an ended container has at ``path``, out of the engine's archive."""
        return await self._calls.call_long(
            lambda client: visit_archive(client, name, path, visit, most_bytes=most_bytes),
            f"copy files out of {name}",
            timeout=_COPY_PATIENCE + most_bytes / _COPY_RATE,
        )

    async def remove(self, name: str) -> None:
        """Remove the container and its volumes, running or not. Succeeds on what is gone."""

        def remove(client: EngineClient) -> None:
            try:
                client.remove_container(name, v=True, force=True)
            except APIError as error:
                # 409: it is being removed already.
                if error.status_code not in {404, 409}:
                    raise

        await self._calls.call(remove, f"remove {name}")
        self._exits.forget(name)

    async def purge(self) -> None:
        """Remove every container of the namespace, its snapshots and its network."""
        for container in await self.observe():
            await self.remove(container.name)
        for snapshot in await self.snapshots.all():
            await self.snapshots.remove(snapshot)
        await self._launcher.remove_network()

    async def _inspect(self, name: str) -> dict[str, Any]:
        about = f"inspect {name}"
        return await self._calls.call(lambda client: client.inspect_container(name), about)

    async def _running(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container that has not ended."""
        found = await self._inspect(name)
        if exit_in(found["State"]) is None:
            return found
        complaint = await self.startup_error(name)
        if complaint and not await self.has_output(name):
            raise ContainerFailed(f"the container could not wait: {complaint}", hint=NEEDS)
        raise ContainerGone(f"{name} has ended")

    async def _send(self, name: str, tar: SizedTar, pump: ThreadPump) -> None:
        channel = await self._calls.open_stream(
            lambda clients: InputStream(clients, lambda own: own.open_attach(name, stdin=1)),
            f"attach to the input of {name}",
            discard=InputStream.close,
        )
        broken: InputBroken | None = None
        try:
            feed = with_length(tar)
            await send_project(feed, channel, pump, name=name, stall=self._calls.timeout)
        except InputBroken as error:
            broken = error
        await settle_feed(
            pump, name=name, broken=broken, complaint=lambda: self.startup_error(name)
        )

    async def _open_output(
        self,
        name: str,
        connect: Callable[[EngineClient], requests.Response],
        decoder: Decoder,
    ) -> OutputStream:
        return await self._calls.open_stream(
            lambda clients: OutputStream(clients, connect, decoder),
            f"attach to the output of {name}",
            discard=OutputStream.close,
        )

    def _pump(self, name: str, output: OutputStream, sink: OutputSink, skip: int) -> ThreadPump:
        pump = ThreadPump(output, sink, name=name, skip=skip)
        self._pumps.add(pump)
        pump.on_end(self._pumps.discard)
        return pump

    async def _wait_slice(self, name: str, seconds: float) -> None:
        def wait(client: EngineClient) -> None:
            try:
                client.wait(name, timeout=math.ceil(seconds), condition="not-running")
            except TRANSPORT_FAULTS:
                # The SDK's way of saying that the time is up; or the engine is
                # gone, which the caller's next look will find out.
                return

        await self._calls.call_long(wait, f"wait for {name}", timeout=seconds)
