"""A server that is killed at random moments, and clients who go on all the while."""

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.client_thread import Seen, session_with, submit_and_watch
from tests.e2e.harness import Server
from tests.invariants import GrowingLogs
from tests.waiting import eventually

LINES = 40
_PAUSE = 0.05
_CLIENTS = 8
_MOST = 4_000
"""Bytes that the server and its jobs may write until it is killed: what four jobs write in all."""


@dataclass(frozen=True)
class NumberedJob:
    """A job whose every byte is known: it counts for a few seconds."""

    number: int

    @property
    def exit_code(self) -> int:
        return 0 if self.number % 3 else 7

    @property
    def reason(self) -> str:
        return "failed" if self.exit_code else "passed"

    @property
    def log(self) -> bytes:
        lines = "".join(f"line {line} of job {self.number}\n" for line in range(1, LINES + 1))
        return (
            "Found ci.toml.\nRuns sh run.sh.\nci.toml sets install, command.\n"
            f"Running tests...\n$ sh run.sh\n{lines}"
        ).encode()

    def script(self) -> str:
        count = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i of job {self.number}"
        return f"{count}; sleep {_PAUSE}; done; exit {self.exit_code}"


@dataclass
class Pace:
    """How many jobs may have been submitted: with every kill some more."""

    jobs: int
    kills: int
    done_kills: int = 0
    idle: int = 0
    _called_off: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def killed(self) -> None:
        with self._changed:
            self.done_kills += 1
            self._changed.notify_all()

    def call_off(self) -> None:
        """Have nobody wait any more, nor submit."""
        with self._changed:
            self._called_off = True
            self._changed.notify_all()

    def wait_for_turn(self, number: int) -> bool:
        """Return whether it is time for a job, false when all is called off.

        The last jobs come after the last kill that must be.
        """
        due = self.kills * (number + 1) // self.jobs
        with self._changed:
            self.idle += 1
            self._changed.wait_for(lambda: self._called_off or self.done_kills >= due)
            self.idle -= 1
            return not self._called_off


class Killing:
    """One server, its clients, and whoever kills it."""

    def __init__(self, server: Server, *, jobs: int, kills: int, seed: int) -> None:
        self.server = server
        self.pace = Pace(jobs, kills)
        self.seen: dict[int, Seen] = {}
        self._random = random.Random(seed)
        self._logs = GrowingLogs(server.folder)

    def run(self, make_project, cache: Path) -> None:
        """Have all jobs submitted and watched to their end, and the server killed meanwhile."""
        folders = {}
        for number in range(self.pace.jobs):
            folders[number] = make_project(NumberedJob(number).script()).path
        numbers = iter(range(self.pace.jobs))
        with ThreadPoolExecutor(_CLIENTS, thread_name_prefix="client") as pool:
            clients = [pool.submit(self._client, numbers, folders, cache) for _ in range(_CLIENTS)]
            try:
                while not all(client.done() for client in clients):
                    self._kill_once(clients)
            finally:
                self.pace.call_off()
            for client in clients:
                client.result()

    def _client(self, numbers, folders, cache: Path) -> None:
        for number in numbers:
            if not self.pace.wait_for_turn(number):
                return
            with session_with(self.server.url) as session:
                self.seen[number] = submit_and_watch(
                    session, folders[number], cache, again=self._server_is_there
                )

    def _server_is_there(self) -> bool:
        return eventually(self.server.responds, what="the server answers", timeout=120)

    def _kill_once(self, clients: list[Future[None]]) -> None:
        moment = self._progress() + self._random.randint(1, _MOST)
        eventually(
            lambda: self._progress() >= moment or self._nothing_to_wait_for(clients),
            what=f"{moment} bytes are written",
            timeout=120,
        )
        self.server.kill()
        assert self._logs.rewritten() == []
        self.pace.killed()
        self.server.spawn()

    def _nothing_to_wait_for(self, clients: list[Future[None]]) -> bool:
        return self.pace.idle + sum(client.done() for client in clients) == _CLIENTS

    def _progress(self) -> int:
        """Return the bytes that the server has written of itself and of jobs."""
        files = [self.server.log, *(self.server.folder / "logs").glob("*.log")]
        sizes = 0
        for file in files:
            with suppress(FileNotFoundError):
                sizes += file.stat().st_size
        return sizes
