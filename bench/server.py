"""A server of the benchmark's own, ended with it."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import docker


@contextmanager
def running_server(folder: Path, image: str, **settings: str) -> Iterator[str]:
    """Yield the URL of a server with data under ``folder``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    environment = os.environ | {
        "CI_DB_PATH": str(data / "ci_jobs.db"),
        "CI_CONTAINER_PREFIX": f"bench{os.getpid()}_",
        "CI_DEFAULT_IMAGE": image,
        **settings,
    }
    ci = Path(sys.executable).with_name("ci")
    command = [str(ci), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(url, process, data / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait()
        _remove_network(environment["CI_CONTAINER_PREFIX"])


def _remove_network(prefix: str) -> None:
    client = docker.from_env()
    for network in client.networks.list(filters={"label": f"ci.namespace={prefix}"}):
        network.remove()
    client.close()


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
