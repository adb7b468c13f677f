"""The power goes: server, engine and containers end at one moment, and unsynced writes are lost."""

import concurrent.futures
import contextlib
import sqlite3
import threading

import httpx2
import pytest

from tests import plain_http
from tests.e2e.faults.sandbox import make_file_system
from tests.e2e.harness import WAIT_FOR_GO
from tests.e2e.test_faults import zip_of
from tests.waiting import eventually

MEGABYTE = 1024 * 1024
CLIENTS = 4


class Machine:
    """A server with its data on a disk of its own, beside an engine: what one plug feeds."""

    def __init__(self, folder, engine, server) -> None:
        self.engine = engine
        self.server = server
        self._image = make_file_system(folder / "disk.img", 64 * MEGABYTE)
        self._disk = server.folder / "data"
        self._disk.mkdir()
        server.settings["CI_DB_PATH"] = str(self._disk / "ci_jobs.db")
        self._plug_in()

    @property
    def disk(self):
        return self.engine.sandbox.path(self._disk)

    def lose_power(self) -> None:
        self.engine.sandbox.cut_the_power_of(self._disk)
        self.server.kill()
        self.engine.lose_power()

    def boot(self) -> None:
        self.engine.boot()
        self._plug_in()
        self.engine.start()
        # Only now: nothing is on its way any more.
        self.server.settings["CI_ORPHAN_GRACE"] = "0"
        self.server.start()

    def _plug_in(self) -> None:
        sandbox = self.engine.sandbox
        sandbox.mount(self._image, self._disk)
        boot_id = self.server.folder / "boot_id"
        boot_id.write_text(f"{sandbox.init}\n")
        sandbox.run("mount", "--bind", str(boot_id), "/proc/sys/kernel/random/boot_id")
        self.server.prefix = tuple(sandbox.entering("mount"))


@pytest.fixture
def machine(folder, own_engine, server_on):
    made = Machine(folder, own_engine, server_on(max_running="2"))
    made.server.start()
    return made


def submit_until(stop: threading.Event, server, number: int, accepted: list[str]) -> None:
    """Submit jobs one after the other; what is answered with an id is accepted."""
    recipe = "install = []\ncommand = 'echo it runs'\n"
    for count in range(10_000):
        content = zip_of(**{"ci.toml": recipe, "name": f"{number}-{count}"})
        files = {"file": ("project.zip", content, "application/zip")}
        try:
            answer = plain_http.post(f"{server.url}/submit-async", files=files, timeout=60)
        except httpx2.TransportError:
            return
        if answer.status_code == 200:
            accepted.append(answer.json()["job_id"])
        if stop.is_set():
            return


@contextlib.contextmanager
def setting(event: threading.Event):
    """Set the event at the end, whatever happens."""
    try:
        yield
    finally:
        event.set()


@pytest.mark.parametrize(
    "accepted_before", [5, *(pytest.param(count, marks=pytest.mark.soak) for count in (1, 12, 29))]
)
def test_power_loss(machine, project, accepted_before):
    """Fault 11: every job that was acknowledged is there and runs to an end, once."""
    server, engine = machine.server, machine.engine
    wait = WAIT_FOR_GO.format(go="/tmp/go")
    running = server.submit(project(f"echo begun\n{wait}\necho done"))
    server.until_log(running, "begun")
    accepted: list[str] = []
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients, setting(stop):
        for number in range(CLIENTS):
            clients.submit(submit_until, stop, server, number, accepted)
        eventually(lambda: len(accepted) >= accepted_before, what="jobs are accepted")
        machine.lose_power()
    machine.boot()
    with contextlib.closing(sqlite3.connect(machine.disk / "ci_jobs.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for job_id in accepted:
        job = server.until(job_id, "completed")
        assert job["reason"] == "passed", job
        assert server.text(job_id).count("it runs\n") >= 1
    eventually(lambda: server.job(running)["attempt"] == 2, what="it runs again")
    server.until_log(running, "begun")
    eventually(lambda: engine.seen.of(running) is not None, what="its container")
    engine.go(running)
    assert server.until(running, "completed")["reason"] == "passed"
    eventually(lambda: not engine.seen.containers(), what="containers removed")
    for name in ("stash", "tmp"):
        folder = machine.disk / name
        eventually(lambda folder=folder: not list(folder.iterdir()), what=f"{name} is empty")
