"""From a spec to a started container that waits for its project."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

from ci_common.errors import ConfigurationError, ContainerFailed, ContainerGone
from ci_common.executor import ContainerSpec
from ci_controller.container_names import ContainerNames
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.configuration import (
    check_network,
    container_config,
    is_ours,
    labels,
)
from ci_controller.docker_engine.faults import explanation, refusal
from ci_controller.docker_engine.firewall import NetworkGuard
from ci_controller.docker_engine.images import pull
from ci_controller.docker_engine.network import ensure_network, remove_networks
from ci_controller.feeding import NEEDS

_NAME_PATIENCE = 5.0
_NAME_PAUSE = 0.02
"""Seconds: how long a container may have a name without being seen, and how often to look."""


class _ImageAbsent(Exception):
    """The engine has no such image yet."""


class _NetworkAbsent(Exception):
    """The namespace's network went away: somebody pruned it while nothing used it."""


class Launcher:
    """Makes and starts containers of one namespace, with their network and image."""

    def __init__(
        self,
        calls: EngineCalls,
        names: ContainerNames,
        guard: NetworkGuard,
        *,
        pull_timeout: float,
    ) -> None:
        self._calls = calls
        self._names = names
        self._guard = guard
        self._pull_timeout = pull_timeout
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._network_id: str | None = None

    async def close(self) -> None:
        """Wait no longer for pulls. Idempotent."""
        pulls = list(self._pulls.values())
        for each in pulls:
            each.cancel()
        await asyncio.gather(*pulls, return_exceptions=True)

    async def launch(self, name: str, spec: ContainerSpec) -> None:
        """Create and start ``name``, pulling its image and making its network if need be.

        Raises:
            ImageMissing: the image is not to be had.
            ContainerFailed: the engine refuses to create or start it.

        """
        check_network(spec.network)
        try:
            await self._create_and_start(name, spec)
        except _ImageAbsent:
            await self.pull(spec.image)
            await self._create_and_start(name, spec)
        except _NetworkAbsent:
            await self._forget(name)
            await self._create_and_start(name, spec)

    async def network(self) -> str:
        """Return the id of the namespace's network, making it if need be.

        Raises:
            ContainerFailed: jobs on it could not be kept from this machine, and must be.

        """
        if self._network_id is None:
            network = await self._calls.call(
                lambda client: ensure_network(client, self._names.network, self._names.prefix),
                "make the network",
            )
            try:
                await asyncio.to_thread(self._guard.protect, network.bridge)
            except ConfigurationError as problem:
                raise ContainerFailed(problem.detail, hint=problem.hint) from problem
            self._network_id = network.id
        return self._network_id

    async def remove_network(self) -> None:
        """Remove the namespace's network, which no container may use any more."""
        self._network_id = None
        await self._calls.call(
            lambda client: remove_networks(client, self._names.network, self._names.prefix),
            "remove the network",
        )

    async def _create_and_start(self, name: str, spec: ContainerSpec) -> None:
        network = "none" if spec.network == "none" else await self.network()
        role = "standby" if self._names.is_standby(name) else "job"
        marks = labels(self._names.prefix, role, spec.key)
        config = container_config(spec, labels=marks, network=network)
        startable = await self._calls.call(self._creation(name, config), f"create {name}")
        if startable:
            await self._calls.call(self._start(name, network), f"start {name}")

    def _creation(self, name: str, config: dict[str, Any]) -> Callable[[EngineClient], bool]:
        def create(client: EngineClient) -> bool:
            """Return whether the container, made now or found, was never started."""
            deadline = time.monotonic() + _NAME_PATIENCE
            while not _created(client, name, config):
                status = self._status(client, name)
                if status is not None:
                    return status == "created"
                # Somebody is creating or removing it at this moment.
                if time.monotonic() > deadline:
                    raise ContainerFailed(f"the name {name} is taken by no container")
                time.sleep(_NAME_PAUSE)
            return True

        return create

    def _start(self, name: str, network: str) -> Callable[[EngineClient], None]:
        def start(client: EngineClient) -> None:
            try:
                client.start(name)
            except APIError as error:
                text = explanation(error)
                if network in text and "not found" in text:
                    raise _NetworkAbsent from error
                if isinstance(error, NotFound) and "No such container" in text:
                    raise ContainerGone(f"{name} was removed while it was started") from error
                raise refusal(error, f"the engine will not start {name}", hint=NEEDS) from error

        return start

    def _status(self, client: EngineClient, name: str) -> str | None:
        """Return the engine's word for what a container is doing, None if there is none."""
        try:
            found = client.inspect_container(name)
        except NotFound:
            return None
        if not is_ours(found["Config"].get("Labels"), self._names.prefix):
            raise ContainerFailed(
                f"a container named {name!r} exists that is not this server's",
                hint=f"Remove it (`docker rm -f {name}`) or set another CI_CONTAINER_PREFIX.",
            )
        return str(found["State"]["Status"])

    async def pull(self, image: str) -> None:
        """Pull an image, or wait with whoever is pulling it already."""
        pulling = self._pulls.get(image)
        if pulling is None:
            pulling = asyncio.create_task(self._pull_once(image), name=f"pull {image}")
            self._pulls[image] = pulling
            pulling.add_done_callback(lambda done: self._pulled(image, done))
        await asyncio.shield(pulling)

    async def _pull_once(self, image: str) -> None:
        await self._calls.call_long(
            lambda client: pull(client, image, timeout=self._pull_timeout),
            f"pull {image}",
            timeout=self._pull_timeout,
        )

    def _pulled(self, image: str, done: asyncio.Task[None]) -> None:
        del self._pulls[image]
        # Whoever waited may have been cancelled, and then nobody asks how it went.
        if not done.cancelled():
            done.exception()

    async def _forget(self, name: str) -> None:
        self._network_id = None
        await self._calls.call(
            lambda client: client.remove_container(name, v=True, force=True), f"remove {name}"
        )


def _created(client: EngineClient, name: str, config: dict[str, Any]) -> bool:
    """Create a container; return False when the name is taken."""
    try:
        client.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
    except ImageNotFound as error:
        raise _ImageAbsent from error
    except APIError as error:
        if error.status_code == 409:
            return False
        raise refusal(error, f"the engine will not create {name}") from error
    return True
