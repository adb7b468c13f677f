"""Processes that begin with the server imported: forks of one that has done it already.

To import the server takes three times as long as to start it, and the tests start hundreds.
What is forked here is as good as started by a command: it has a pid, an environment, a folder
and an output of its own, and ends with the same exit code, or by the same signal. What must be
the command itself is the business of ``tests/contract/test_http_process.py``.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "ci_client.dispatch",
        "ci_client.commands.serve",
        "ci_server.serve",
        # What a server imports only once it is made, and when it runs.
        "litestar.plugins.pydantic",
        "ci_server.metrics.page",
        "uvicorn.loops.auto",
        "uvicorn.lifespan.on",
        "anyio._backends._asyncio",
        # Found where the tests are run from the folder of the project, as they are.
        "tests.e2e.crash_points.server",
    ]
)


class WarmProcess:
    """A running ``program``, with what tests use of ``subprocess.Popen``.

    ``program`` takes its ``arguments`` from ``sys.argv``, and must be importable by name;
    ``output`` is appended to. It may not outlive the process that started it.
    """

    def __init__(
        self,
        program: Callable[[], object],
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: Path,
    ) -> None:
        self._process = _FORKS.Process(
            target=_become,
            args=(program, list(arguments), dict(env), cwd, output),
            daemon=True,
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As ``Popen`` has it: the exit code, or the signal's number with a minus."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _become(
    program: Callable[[], object],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    output: Path,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["ci", *arguments]
    program()
