"""A server of the benchmark's own, which leaves nothing on the engine when it ends."""

import itertools
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import docker
from docker.errors import APIError, NotFound

from bench.ports import free_port

CI = str(Path(sys.executable).with_name("ci"))

_numbers = itertools.count(1)

_STANDBY_PATIENCE = 3.0
_QUIET_PATIENCE = 20.0
_LOOK_EVERY = 0.02
"""Seconds: how long a standby, and the end of clean-up, are waited for, and how often to look."""


@dataclass(frozen=True)
class BenchServer:
    """A running server. Its containers have names that begin with ``namespace``."""

    url: str
    namespace: str
    data: Path
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What the ``ci`` command needs to find it."""
        return os.environ | {"CI_SERVER_URL": self.url}

    def settle(self, standbys: int = 1) -> None:
        """Wait until the last job is cleared away and, if there is a pool, so many stand by."""
        self._wait_for(lambda jobs, _: jobs == 0, _QUIET_PATIENCE)
        self._wait_for(lambda jobs, ready: jobs == 0 and ready >= standbys, _STANDBY_PATIENCE)

    def wait_until_as_before(self, standbys: int) -> None:
        """Wait until no job's container is left and as many standbys run as before."""
        self._wait_for(lambda jobs, ready: jobs == 0 and ready >= standbys, _QUIET_PATIENCE)

    def count(self) -> tuple[int, int]:
        """Return how many containers jobs have, and how many standbys run."""
        with closing(docker.APIClient()) as client:
            found = client.containers(all=True, filters={"label": f"ci.namespace={self.namespace}"})
        # By name: a standby that became a job's container keeps its label.
        standbys = [each for each in found if f"{self.namespace}ci-standby-" in each["Names"][0]]
        ready = [each for each in standbys if each["State"] == "running"]
        return len(found) - len(standbys), len(ready)

    def _wait_for(self, done: Callable[[int, int], bool], patience: float) -> None:
        for _ in range(round(patience / _LOOK_EVERY)):
            if done(*self.count()):
                return
            Event().wait(_LOOK_EVERY)


@contextmanager
def running_server(folder: Path, image: str, **settings: str) -> Iterator[BenchServer]:
    """Run a server with data in a new folder under ``folder``."""
    number = next(_numbers)
    namespace = f"bench{os.getpid()}x{number}_"
    data = folder / f"data{number}"
    data.mkdir()
    url = f"http://127.0.0.1:{free_port()}"
    environment = os.environ | {
        "CI_DB_PATH": str(data / "ci_jobs.db"),
        "CI_DATA_DIR": str(data),
        "CI_CONTAINER_PREFIX": namespace,
        "CI_DEFAULT_IMAGE": image,
        **settings,
    }
    port = url.rpartition(":")[2]
    command = [CI, "serve", "--host", "127.0.0.1", "--port", port]
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_it_answers(url, process, data / "server.log")
        yield BenchServer(url, namespace, data, process.pid)
    finally:
        _end(process)
        remove_all(f"ci.namespace={namespace}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove_all(label: str) -> None:
    """Remove every container, network and image that has ``label``."""
    marked: dict[str, str | list[str] | bool] = {"label": label}
    with closing(docker.from_env()) as client:
        for container in client.containers.list(all=True, filters=marked, ignore_removed=True):
            with suppress(NotFound, APIError):
                container.remove(force=True, v=True)
        for network in client.networks.list(filters=marked):
            with suppress(NotFound):
                network.remove()
        for image in client.images.list(filters=marked):
            with suppress(NotFound, APIError):
                client.images.remove(str(image.id), force=True)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            Event().wait(0.05)
    raise RuntimeError(f"the server does not answer:\n{log.read_text()}")
