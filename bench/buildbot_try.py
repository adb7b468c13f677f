"""Buildbot's ``try`` from PyPI: a master and a worker on this machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection
from threading import Event

from bench.measure import Side, timed
from bench.ports import free_port
from bench.tools import Unavailable, git_project, install, require, run_in

_PACKAGES = ("buildbot==4.3.0", "buildbot-worker==4.3.0")

_MASTER = """
from buildbot.plugins import schedulers, steps, util, worker

factory = util.BuildFactory([
    steps.Git(repourl={repository!r}, mode="incremental"),
    steps.ShellCommand(command=["python3", "-c", "print('hi')"]),
])
BuildmasterConfig = {{
    "workers": [worker.Worker("worker", "secret")],
    "protocols": {{"pb": {{"port": "tcp:{worker_port}:interface=127.0.0.1"}}}},
    "schedulers": [schedulers.Try_Userpass(
        name="try", builderNames=["hello"],
        port="tcp:{try_port}:interface=127.0.0.1", userpass=[("bench", "secret")],
    )],
    "builders": [util.BuilderConfig(name="hello", workernames=["worker"], factory=factory)],
    "buildbotNetUsageData": None,
    "db": {{"db_url": "sqlite:///state.sqlite"}},
}}
"""


@contextmanager
def buildbot_try(folder: Path, _image: str) -> Iterator[list[Side]]:
    """Install and start it; yield what tries the hello project once. Raises ``Unavailable``."""
    require("git")
    install([sys.executable, "-m", "venv", str(folder / "venv")])
    programs = folder / "venv" / "bin"
    install([str(programs / "pip"), "install", "--quiet", *_PACKAGES])
    project = git_project(folder / "project", "hello.py", "print('hi')\n")
    # `try` is for what is not committed yet.
    (project / "hello.py").write_text("print('hi', end='\\n')\n")
    with _running(folder, programs, str(project)) as try_port:
        command = [str(programs / "buildbot"), "try", "--connect=pb", "--vc=git", "--wait"]
        command += [f"--master=127.0.0.1:{try_port}", "--username=bench", "--passwd=secret"]
        command += ["--branch=main", f"--repository={project}", "--builder=hello"]
        run = timed(lambda: run_in(project, command, expect="build successful"))
        yield [Side("Buildbot's try, no container", run)]


@contextmanager
def _running(folder: Path, programs: Path, repository: str) -> Iterator[int]:
    """Run a master and its worker; yield the port that takes tries."""
    master, worker = folder / "master", folder / "worker"
    try_port, worker_port = free_port(), free_port()
    buildbot, buildbot_worker = str(programs / "buildbot"), str(programs / "buildbot-worker")
    install([buildbot, "create-master", "--quiet", str(master)])
    (master / "master.cfg").write_text(
        _MASTER.format(repository=repository, worker_port=worker_port, try_port=try_port)
    )
    address = f"127.0.0.1:{worker_port}"
    install([buildbot_worker, "create-worker", str(worker), address, "worker", "secret"])
    with (
        _process([buildbot, "start", "--nodaemon", str(master)]),
        _process([buildbot_worker, "start", "--nodaemon", str(worker)]),
    ):
        _wait_for_port(try_port)
        yield try_port


@contextmanager
def _process(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for_port(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
            return
        Event().wait(0.1)
    raise Unavailable("its master does not listen after 30 s")
