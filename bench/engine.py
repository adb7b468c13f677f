"""The bare side: containers by the Docker SDK alone, as a reader of its manual would run them."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import docker
from docker.errors import NotFound
from docker.types import LogConfig

LABEL = f"standby-ci.bench={os.getpid()}"

# One file beyond all that a benchmark writes: rotation would lose output.
_LOG = {"max-size": "2g", "max-file": "1", "compress": "false"}

# What the server gives a job unless told otherwise.
_JOB_LIMITS: dict[str, Any] = {
    "mem_limit": 2 * 1024**3,
    "memswap_limit": 2 * 1024**3,
    "cpu_period": 100_000,
    "cpu_quota": 200_000,
    "pids_limit": 1024,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}

_READ_SIZE = 1024 * 1024
_FRAME_HEADER = 8


class BareContainer:
    """One container with the same log driver, init and network kind as a job's."""

    def __init__(
        self, client: docker.APIClient, image: str, command: Sequence[str], *, limited: bool
    ) -> None:
        self._client = client
        name, value = LABEL.split("=")
        config = client.create_host_config(
            init=True,
            log_config=LogConfig(type="local", config=_LOG),
            **(_JOB_LIMITS if limited else {}),
        )
        created = client.create_container(
            image, list(command), host_config=config, labels={name: value}
        )
        self.id: str = created["Id"]

    def start(self) -> None:
        """Start it."""
        self._client.start(self.id)

    def wait(self) -> int:
        """Wait for its end; return when that was known, as ``time.time_ns`` has it."""
        answer = self._client.wait(self.id)
        known = time.time_ns()
        if answer["StatusCode"] != 0:
            raise RuntimeError(f"a bare container failed: {self.logs()}")
        return known

    def logs(self) -> str:
        """Return its output."""
        output: bytes = self._client.logs(self.id)
        return output.decode()

    def remove(self) -> None:
        """Remove it."""
        with suppress(NotFound):
            self._client.remove_container(self.id, force=True, v=True)

    @contextmanager
    def attached(self) -> Iterator[socket.socket]:
        """Attach to its output; yield the socket, which carries the engine's frames."""
        params = {"stdout": 1, "stderr": 1, "stream": 1}
        with closing(self._client.attach_socket(self.id, params)) as opened:
            connection = getattr(opened, "_sock", opened)
            connection.settimeout(120)
            yield connection


@contextmanager
def bare_container(
    image: str, command: Sequence[str], *, limited: bool = False
) -> Iterator[BareContainer]:
    """Create a container with a client of its own, ``limited`` as a job's; remove both."""
    with closing(docker.APIClient(timeout=120)) as client:
        container = BareContainer(client, image, command, limited=limited)
        try:
            yield container
        finally:
            container.remove()


def frames(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield what an attach socket brings, without the engine's headers, and when it came."""
    pending = b""
    while data := connection.recv(_READ_SIZE):
        at = time.time_ns()
        pending += data
        payload, pending = _unframed(pending)
        if payload:
            yield at, payload


def _unframed(data: bytes) -> tuple[bytes, bytes]:
    """Return the payload of the whole frames in ``data``, and what is left."""
    payload, place = [], 0
    while len(data) - place >= _FRAME_HEADER:
        end = place + _FRAME_HEADER + int.from_bytes(data[place + 4 : place + 8])
        if end > len(data):
            break
        payload.append(data[place + _FRAME_HEADER : end])
        place = end
    return b"".join(payload), data[place:]
