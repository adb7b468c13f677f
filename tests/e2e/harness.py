"""Real servers in processes of their own, real projects, and the real ``ci`` command."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import docker
import httpx2

from ci_client.cli import main
from tests import plain_http
from tests.ports import free_port
from tests.waiting import LONGEST, eventually
from tests.warm import WarmProcess

CI = str(Path(sys.executable).with_name("ci"))

WAIT_FOR_GO = "until [ -e {go} ]; do sleep 0.05; done"


@dataclass
class Project:
    """A folder to submit. ``script`` is what it runs; nothing is installed."""

    path: Path
    script: str = ""

    def write(self, files: dict[str, str]) -> "Project":
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
        return self


@dataclass
class Server:
    """A server process that can be ended in every way and started again on the same data."""

    folder: Path
    namespace: str
    settings: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    port: int = field(default_factory=free_port)
    prefix: tuple[str, ...] = ()
    """What goes before the command: where and within which limits it runs."""
    program: Callable[[], object] = main
    """The command ``ci``, or what stands in its place where nothing goes before it."""
    process: subprocess.Popen[bytes] | WarmProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CI_")}
        kept.pop("CI", None)
        return {
            **kept,
            "CI_DB_PATH": str(self.folder / "ci_jobs.db"),
            "CI_CONTAINER_PREFIX": self.namespace,
            "CI_DEFAULT_IMAGE": os.environ.get("CI_DEFAULT_IMAGE", "none"),
            "CI_JOB_MEMORY": "256m",
            "CI_SHUTDOWN_GRACE": "3",
            # Most tests look that nothing is left of a job; those of retries say otherwise.
            "CI_KEEP_PROJECTS_FOR": "0",
            "CI_SERVER_URL": self.url,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            **self.settings,
        }

    def start(self) -> "Server":
        self.spawn()
        eventually(self.answers, what=f"server answers; its log: {self.log}")
        return self

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        arguments = [
            "serve", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", str(self.workers),
        ]  # fmt: skip
        place = {"env": self.environment(), "cwd": self.folder}
        if self.workers == 1 and not self.prefix:
            self.process = WarmProcess(self.program, arguments, output=self.log, **place)
            return
        with self.log.open("ab") as log:
            command = [*self.prefix, CI, *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **place)

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self.log.read_text()}")
        return self.responds()

    def responds(self) -> bool:
        try:
            # First what costs nothing: it is asked again and again while a server starts.
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        try:
            return plain_http.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """End it as a crash would, with all of its workers; jobs are left alone."""
        assert self.process is not None
        workers = children(self.process.pid) if self.workers > 1 else []
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, timeout: float = LONGEST) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> "Server":
        return self.start()

    def ci(self, *arguments: str, timeout: float = 120, **options) -> subprocess.CompletedProcess:
        """Run ``ci`` with these arguments to its end."""
        return subprocess.run(
            [CI, *arguments],
            env=self.environment() | options.pop("env", {}),
            capture_output=True,
            timeout=timeout,
            check=False,
            **options,
        )

    def ci_process(self, *arguments: str, **options) -> subprocess.Popen:
        """Start ``ci`` with these arguments."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(
            [CI, *arguments], env=self.environment() | options.pop("env", {}), **options
        )

    def submit(self, project: Project) -> str:
        """Submit and return the job's id."""
        done = self.ci("submit", "--async", str(project.path))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().split()[0]

    def get(self, path: str) -> httpx2.Response:
        return plain_http.get(f"{self.url}{path}", timeout=60)

    def post(self, path: str, **options) -> httpx2.Response:
        return plain_http.post(f"{self.url}{path}", timeout=60, **options)

    def job(self, job_id: str) -> dict:
        return self.get(f"/jobs/{job_id}").raise_for_status().json()

    def text(self, job_id: str) -> str:
        return self.get(f"/jobs/{job_id}/log").raise_for_status().text

    def until(self, job_id: str, status: str) -> dict:
        """Wait for a job to come to ``status``."""

        def look() -> dict | None:
            job = self.job(job_id)
            return job if job["status"] == status else None

        return eventually(look, what=f"job {job_id} is {status}")

    def until_log(self, job_id: str, text: str) -> None:
        eventually(lambda: text in self.text(job_id), what=f"{text!r} in the log of {job_id}")

    def events(self, path: str, **headers: str):
        """Yield ``(id, event)`` of a stream until it ends."""
        with plain_http.stream("GET", f"{self.url}{path}", headers=headers, timeout=60) as response:
            response.raise_for_status()
            yield from parse_events(response.iter_lines())

    def rows(self, query: str) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.folder / "ci_jobs.db")) as connection:
            return connection.execute(query).fetchall()


def parse_events(lines):
    """Yield ``(id, event)`` from the lines of an event stream."""
    event_id, data = None, []
    for line in lines:
        if line.startswith("id:"):
            event_id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield event_id, json.loads("\n".join(data))
            data = []


def children(pid: int) -> list[int]:
    """Return the ids of all processes below ``pid``."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += [int(child), *children(int(child))]
    return found


@dataclass
class Engine:
    """A Docker engine, the machine's own or the one at ``host``, seen through one namespace."""

    namespace: str
    host: str | None = None

    def __post_init__(self) -> None:
        if self.host is None:
            self.client = docker.from_env(timeout=60)
        else:
            self.client = docker.DockerClient(self.host, version="1.40", timeout=60)

    def everything(self) -> list:
        wanted = {"label": f"ci.namespace={self.namespace}"}
        return self.client.containers.list(all=True, filters=wanted, ignore_removed=True)

    def containers(self) -> list:
        """Return the containers of jobs."""
        return [c for c in self.everything() if "ci-standby-" not in c.name]

    def standbys(self) -> list:
        """Return the containers that wait for a job."""
        return [c for c in self.everything() if "ci-standby-" in c.name and c.status == "running"]

    def of(self, job_id: str):
        """Return the container of a job, None if there is none."""
        return next((c for c in self.containers() if job_id in c.name), None)

    def go(self, job_id: str) -> None:
        """Let a job go on that waits for ``/tmp/go``."""
        code, output = self.of(job_id).exec_run(["touch", "/tmp/go"])
        # A job that ends at once takes whoever let it go with it: killed, but not before.
        assert code in {0, 137}, output

    def networks(self) -> list:
        return self.client.networks.list(filters={"label": f"ci.namespace={self.namespace}"})

    def snapshots(self) -> list:
        """Return the images that installed dependencies are kept in."""
        wanted = {"label": f"ci.namespace={self.namespace}"}
        found = []
        # The SDK's own list fails when one is removed before it is looked at.
        for entry in self.client.api.images(filters=wanted):
            with contextlib.suppress(docker.errors.ImageNotFound):
                found.append(self.client.images.get(entry["Id"]))
        return found

    def clear(self) -> None:
        """Remove what the servers left, when none of them lives any more."""
        for container in self.everything():
            # A server may have ended in the middle of removing it: then the engine goes on.
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)
        eventually(lambda: not self.everything(), what="containers removed")
        for network in self.networks():
            network.remove()
        for image in self.snapshots():
            self.client.images.remove(image.id, force=True)

    def close(self) -> None:
        self.client.close()
