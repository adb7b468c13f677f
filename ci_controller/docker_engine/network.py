"""The network that the containers of one namespace share without hearing each other."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound

from ci_common.errors import ContainerFailed, EngineError
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.configuration import NAMESPACE, is_ours
from ci_controller.docker_engine.faults import explanation
from ci_controller.docker_engine.firewall import new_bridge

_NO_TRAFFIC = {"com.docker.network.bridge.enable_icc": "false"}
_BRIDGE = "com.docker.network.bridge.name"


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the engine. ``bridge``: its interface there, ``""`` for one not named by us."""

    id: str
    bridge: str


def ensure_network(client: EngineClient, name: str, namespace: str) -> Network:
    """Return the namespace's network, making it if there is none.

    Names of networks are not unique to the engine, so several may be made at
    the same time: everybody then chooses the oldest.

    Raises:
        ContainerFailed: another's network has that name.
        EngineError: the engine will not make it.

    """
    found = _networks(client, name)
    if not found:
        _create(client, name, namespace)
        found = _networks(client, name)
    ours = [network for network in found if is_ours(network.get("Labels"), namespace)]
    if not ours:
        raise ContainerFailed(
            f"a network named {name!r} exists that is not this server's",
            hint=f"Remove it (`docker network rm {name}`) or set another CI_CONTAINER_PREFIX.",
        )
    oldest, *others = sorted(ours, key=lambda network: (network["Created"], network["Id"]))
    for other in others:
        with suppress(APIError):  # whoever uses it removes it
            client.remove_network(other["Id"])
    return Network(str(oldest["Id"]), str((oldest.get("Options") or {}).get(_BRIDGE, "")))


def remove_networks(client: EngineClient, name: str, namespace: str) -> None:
    """Remove the namespace's network. Succeeds when there is none."""
    for network in _networks(client, name):
        if is_ours(network.get("Labels"), namespace):
            try:
                client.remove_network(network["Id"])
            except NotFound:
                continue


def _networks(client: EngineClient, name: str) -> list[dict[str, Any]]:
    # The engine's filter also gives names that merely contain ours.
    return [network for network in client.networks(names=[name]) if network["Name"] == name]


def _create(client: EngineClient, name: str, namespace: str) -> None:
    try:
        client.create_network(
            name,
            driver="bridge",
            options={**_NO_TRAFFIC, _BRIDGE: new_bridge()},
            check_duplicate=True,
            labels={NAMESPACE: namespace},
        )
    except APIError as error:
        if error.status_code == 409:
            return  # somebody was faster
        raise EngineError(
            f"the network {name!r} could not be made: {explanation(error)}",
            hint="`docker network prune` frees the address ranges of unused networks.",
        ) from error
