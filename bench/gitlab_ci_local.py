"""gitlab-ci-local from npm: with its shell executor, and with its Docker executor."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import docker
from docker.errors import APIError, NotFound

from bench.measure import Side, timed
from bench.tools import borrow, git_project, install, require, run_in

# Later ones need Node 22.
_PACKAGE = "gitlab-ci-local@4.60.0"

_SCRIPT = """
hello:
  script:
    - python3 -c "print('hi')"
"""

_NAMES = "gcl-"
"""Begins the names of its containers and volumes."""


@contextmanager
def gitlab_ci_local(folder: Path, image: str) -> Iterator[list[Side]]:
    """Install it; yield what runs the hello project once. Raises ``Unavailable``."""
    require("npm", "node", "git")
    environment = borrow(folder / "borrowed", "rsync", "rsync", "libpopt0")
    install(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), _PACKAGE])
    program = str(folder / "node_modules" / ".bin" / "gitlab-ci-local")
    bare = git_project(folder / "shell", ".gitlab-ci.yml", _SCRIPT)
    contained = git_project(folder / "docker", ".gitlab-ci.yml", f"image: {image}\n{_SCRIPT}")
    local = ["--helper-image", image, "--pull-policy", "if-not-present"]
    run = partial(run_in, expect="> hi", environment=environment)
    with _leaving_nothing():
        yield [
            Side(
                "gitlab-ci-local, in a container",
                timed(lambda: run(contained, [program, *local, "hello"])),
            ),
            Side("gitlab-ci-local, no container", timed(lambda: run(bare, [program, "hello"]))),
        ]


@contextmanager
def _leaving_nothing() -> Iterator[None]:
    """Remove afterwards what an interrupted run leaves on the engine."""
    with closing(docker.from_env()) as client:
        before = _names(client)
        try:
            yield
        finally:
            for name in _names(client) - before:
                with suppress(NotFound, APIError):
                    client.api.remove_container(name, force=True, v=True)
                with suppress(NotFound, APIError):
                    client.api.remove_volume(name, force=True)


def _names(client: docker.DockerClient) -> set[str]:
    containers = client.api.containers(all=True, filters={"name": _NAMES})
    volumes = client.api.volumes(filters={"name": _NAMES})["Volumes"] or []
    names = {each["Names"][0].lstrip("/") for each in containers}
    names |= {each["Name"] for each in volumes}
    return {name for name in names if name.startswith(_NAMES)}
