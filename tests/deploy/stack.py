"""The images of deploy/, built on the runner image, and the stack that compose makes of them."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.deploy.conftest import ROOT
from tests.e2e.harness import Server
from tests.waiting import eventually

COMPOSE_FILE = ROOT / "deploy" / "compose.yaml"

BUILDS = (
    # The stage that is left behind gets a name too, to be removed with the rest.
    {
        "build": ("--target=build", "--file=deploy/Dockerfile", "."),
        "server": ("--file=deploy/Dockerfile", "."),
    },
    {"engine-proxy": ("deploy/engine-proxy",)},
)
"""Builds by the image's name. Those of one group follow each other, the groups run side by side."""

BUILD_ATTEMPTS = 3
"""Packages come over the network; what a failed build has done is kept for the next."""


def build(group: dict[str, tuple[str, ...]], prefix: str) -> None:
    """Build images as their own files say, from the runner image; with the builder that is here."""
    for name, options in group.items():
        build_one(f"{prefix}-{name}", *options)


def build_one(tag: str, *options: str) -> None:
    command = ["docker", "build", "--build-arg", f"BASE={os.environ['CI_DEFAULT_IMAGE']}"]
    command += ["--tag", tag, *options]
    has_buildx = (
        subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode == 0
    )
    env = os.environ | ({} if has_buildx else {"DOCKER_BUILDKIT": "0"})
    for _ in range(BUILD_ATTEMPTS):
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        if done.returncode == 0:
            return
    raise AssertionError(done.stdout[-5000:] + done.stderr[-5000:])


@dataclass
class Stack:
    """A server and a filter as compose.yaml has them, under the name of a namespace."""

    compose: list[str]
    folder: Path
    server: Server
    """Reaches the published port; its process is in a container."""

    @property
    def name(self) -> str:
        return self.server.namespace.rstrip("_")

    def run(self, *arguments: str) -> str:
        command = [*self.compose, "-p", self.name, "-f", str(COMPOSE_FILE)]
        command += ["-f", str(self.folder / "test.json"), *arguments]
        env = os.environ | {
            "STANDBY_CI_IMAGE": f"{self.name}-server",
            "STANDBY_CI_ENGINE_PROXY_IMAGE": f"{self.name}-engine-proxy",
            "STANDBY_CI_PUBLISH": f"127.0.0.1:{self.server.port}",
        }
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        self.run("up", "--detach", "--no-build")
        eventually(self.ready, what="the server in the container is ready")

    def ready(self) -> bool:
        return self.server.responds() and self.server.get("/ready").status_code == 200

    def container(self, service: str):
        """Return the container of a service, running or not."""
        with contextlib.closing(docker.from_env(timeout=60)) as client:
            return client.containers.get(self.run("ps", "--all", "--quiet", service).strip())

    def image(self, service: str):
        """Return the image that a service's container is of."""
        return self.container(service).image

    def execute(self, service: str, *command: str) -> str:
        """Return what a program in a service's container says."""
        container = self.run("ps", "--quiet", service).strip()
        done = subprocess.run(
            ["docker", "exec", container, *command], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def stack_of(compose: list[str], namespace: str) -> Iterator[Stack]:
    """Build the images and start the stack; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="ci-") as folder:
        server = Server(Path(folder), namespace)
        stack = Stack(compose, Path(folder), server)
        wanted = {"CI_CONTAINER_PREFIX": namespace, "CI_JOB_MEMORY": "256m"}
        # What is tried here is the machinery; that the image asks for keys has a check of its own.
        wanted |= {"CI_ACCOUNTS": "auto", "CI_LET_ANYONE_RUN_CODE": "true"}
        wanted["CI_DEFAULT_IMAGE"] = os.environ["CI_DEFAULT_IMAGE"]
        override = {"services": {"server": {"environment": wanted}}}
        (stack.folder / "test.json").write_text(json.dumps(override))
        try:
            with ThreadPoolExecutor() as builders:
                list(builders.map(build, BUILDS, [stack.name] * len(BUILDS)))
            stack.up()
            yield stack
        finally:
            print(stack.run("logs", "--no-color")[-10_000:])
            stack.run("down", "--volumes", "--timeout", "20")
            tags = [f"{stack.name}-{name}" for group in BUILDS for name in group]
            subprocess.run(["docker", "rmi", "--force", *tags], capture_output=True)
