"""One server through one crash, or two, to the end of a job."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ci_client.cli import main
from ci_common.project_tree import pack_name
from tests import plain_http
from tests.e2e.client_thread import ClientThread, Seen, client_thread
from tests.e2e.crash_points.scenarios import Scenario, steady
from tests.e2e.crash_points.server import VARIABLE, crashing
from tests.e2e.crash_points.stand_ins import Point
from tests.e2e.harness import Engine, Server
from tests.invariants import (
    Ending,
    differing,
    forbidden_moves,
    leftovers,
    log_of,
    unsound,
    watch_moves,
)
from tests.waiting import eventually


@dataclass
class Walker:
    """A server, its client, and what becomes of the two."""

    server: Server
    engine: Engine
    scenario: Scenario
    client: ClientThread

    @property
    def database(self) -> Path:
        return self.server.folder / "ci_jobs.db"

    def live_before(self) -> int:
        """Live through what was before the crash; return how many jobs that took."""
        if not self.scenario.before:
            return 0
        self.server.start()
        self.client.begin()
        self.client.end()
        self.wait_for_order()
        self.server.kill()
        if self.scenario.before == "lost packs":
            for pack in (self.server.folder / "packs").iterdir():
                pack.unlink()
        return 1

    def crash(self, point: Point, *, with_client: bool) -> None:
        """Run the server until it kills itself at the point."""
        self.server.program = crashing
        self.server.settings[VARIABLE] = str(point)
        try:
            self.server.spawn()
            eventually(lambda: self.is_dead() or self.server.responds(), what="the server begins")
            if with_client and not self.is_dead():
                self.greet()
            eventually(self.is_dead, what=f"the server dies {point}; its log: {self.server.log}")
        finally:
            self.server.program = main
            del self.server.settings[VARIABLE]
        assert self.server.process.returncode == -signal.SIGKILL

    def is_dead(self) -> bool:
        return self.server.process.poll() is not None

    def greet(self) -> None:
        """Have the client come, unless it is there."""
        if self.client.begun:
            return
        watch_moves(self.database)
        eventually(
            lambda: self.is_dead() or len(self.engine.standbys()) >= self.scenario.standbys,
            what="the standbys wait",
        )
        self.client.begin()
        if self.scenario.cancels:
            self.cancel()

    def cancel(self) -> None:
        """Cancel the job once it has said something; nobody may be left to answer."""
        eventually(lambda: self.is_dead() or self.said(b"one\n"), what="the job says something")
        for (job_id,) in self.server.rows("SELECT id FROM jobs"):
            with suppress(httpx2.TransportError):
                plain_http.delete(f"{self.server.url}/api/v1/jobs/{job_id}", timeout=60)

    def said(self, text: bytes) -> bool:
        ids = self.server.rows("SELECT id FROM jobs")
        return any(text in log_of(self.server.folder, job_id) for (job_id,) in ids)

    def start_and_sweep(self) -> None:
        """Start without a grace for what nobody knows, and wait until nothing is left."""
        # What is swept last: once it is gone, nothing that comes is taken for a leftover.
        packs = self.server.folder / "packs"
        packs.mkdir(exist_ok=True)
        (packs / pack_name(0)).touch()
        self.server.settings["CI_ORPHAN_GRACE"] = "0"
        self.server.start()
        self.wait_for_order()

    def wait_for_order(self) -> None:
        """Wait until nothing is left, for less time than it takes to the next sweep."""
        with _saying(self.left):
            eventually(lambda: not self.left(), what="nothing is left", timeout=30)

    def left(self) -> list[str]:
        """Return what no job needs any more, on disk and on the engine."""
        found = leftovers(self.database, self.server.folder)
        found += [f"container {each.name}" for each in self.engine.containers()]
        found += [f"network {each.name}" for each in self.engine.networks()[1:]]
        # One that was made twice gives its name to the later.
        found += [f"snapshot {each.id}" for each in self.engine.snapshots() if not each.tags]
        return found

    def check(self, seen: Seen, *, attempt: int, jobs: int) -> None:
        """Hold what the client saw, and what there is now, against what must be."""
        log = log_of(self.server.folder, seen.job_id)
        assert seen.text == log.decode()
        assert steady(log).decode() == self.scenario.log
        reason, exit_code = self.scenario.reason, self.scenario.exit_code
        assert (seen.complete["reason"], seen.complete["exit_code"]) == (reason, exit_code)
        ending = Ending(reason=reason, exit_code=exit_code, log=log, attempt=attempt)
        assert differing(self.database, self.server.folder, {seen.job_id: ending}) == []
        assert forbidden_moves(self.database) == []
        assert unsound(self.database) == []
        kept = jobs - self.scenario.forgets
        assert self.server.rows("SELECT count(*) FROM jobs") == [(kept,)]
        kept = self.server.rows("SELECT count(*) FROM artifacts")
        assert kept == [(self.scenario.artifacts,)]
        assert len(self.engine.snapshots()) == self.scenario.snapshots


@contextmanager
def _saying(left: Callable[[], list[str]]) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}; left are {left()}") from None


@contextmanager
def walker(server: Server, engine: Engine, scenario: Scenario, tmp_path: Path) -> Iterator[Walker]:
    """Yield a walker whose server has not begun."""
    folder = scenario.write(tmp_path / "project")
    with client_thread(server.url, folder, tmp_path / "cache") as client:
        yield Walker(server, engine, scenario, client)
