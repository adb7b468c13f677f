"""Looking after a server: backups under load, copies beside the original, jobs that expire."""

import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests import plain_http
from tests.e2e.harness import Engine, Server
from tests.waiting import eventually

LONGEST_QUEUE = 20
LINES = 300
SCRIPT = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done"
OUTPUT = "".join(f"line {number}\n" for number in range(1, LINES + 1))


def project_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ci.toml", "install = []\ncommand = 'sh run.sh'\n")
        archive.writestr("run.sh", SCRIPT)
    return content.getvalue()


class Load:
    """Clients that keep a queue filled; ``acknowledged`` are the ids they were given.

    Set ``over`` before the server is killed: then they take it for their end.
    """

    def __init__(self, server: Server, clients: int) -> None:
        self.acknowledged: list[str] = []
        self._server = server
        self._zip = project_zip()
        self.over = threading.Event()
        self._threads = ThreadPoolExecutor(clients)
        self._running = [self._threads.submit(self._submit) for _ in range(clients)]

    def _submit(self) -> None:
        try:
            while not self.over.is_set():
                eventually(self._has_room, what="the queue gets shorter")
                files = {"file": ("p.zip", self._zip, "application/zip")}
                answer = plain_http.post(
                    f"{self._server.url}/submit-async", files=files, timeout=60
                )
                self.acknowledged.append(answer.raise_for_status().json()["job_id"])
        except httpx2.TransportError:
            if not self.over.is_set():
                raise

    def _has_room(self) -> bool:
        return self.over.is_set() or self._server.get("/ready").json()["queued"] < LONGEST_QUEUE

    def stop(self) -> None:
        self.over.set()
        self._threads.shutdown()
        for task in self._running:
            task.result()


@pytest.fixture
def busy(servers, namespace):
    """A server under load, with some jobs ended, some running, many waiting."""
    server = servers(namespace, executor="local", max_running="2").start()
    load = Load(server, clients=2)
    eventually(lambda: len(load.acknowledged) > 20, what="jobs have been submitted")
    server.until(load.acknowledged[1], "completed")
    yield server, load
    load.stop()


def backed_up(server: Server, name: str = "backup") -> Path:
    folder = server.folder / name
    done = server.ci("admin", "backup", str(folder))
    assert (done.returncode, done.stdout.decode()) == (0, f"{folder}\n"), done.stderr.decode()
    assert b"warning" not in done.stderr, done.stderr.decode()
    return folder


def restored(servers, backup: Path, namespace: str, name: str = "restored", **settings) -> Server:
    server = servers(namespace, name, **settings)
    done = server.ci("admin", "restore", str(backup))
    assert done.returncode == 0, done.stderr.decode()
    return server


def check(server: Server) -> list[dict]:
    done = server.ci("admin", "check", "--json")
    assert done.returncode in (0, 1), done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_backup_under_load_has_every_acknowledged_job(busy, servers, namespace):
    """The restored server serves each of them, and brings it to its end."""
    server, load = busy
    before = list(load.acknowledged)
    backup = backed_up(server)
    after = len(load.acknowledged)
    assert after > len(before), "no load while the backup was made"
    load.stop()

    for log in (backup / "logs").iterdir():
        original = (server.folder / "logs" / log.name).read_bytes()
        assert original.startswith(log.read_bytes())

    copy = restored(servers, backup, namespace, executor="local", max_running="2")
    assert check(copy) == []
    ended = [job for (job,) in copy.rows("SELECT id FROM jobs WHERE status = 'completed'")]
    logs = {job_id: (backup / "logs" / f"{job_id}.log").read_text() for job_id in ended}
    copy.start()
    for job_id in ended:
        assert copy.text(job_id) == logs[job_id] == server.text(job_id)
        assert logs[job_id].endswith(OUTPUT)
    for job_id in before:
        job = copy.until(job_id, "completed")
        assert (job["success"], job["reason"]) == (True, "passed")
        assert copy.text(job_id).endswith(OUTPUT)
    eventually(lambda: not list((copy.folder / "stash").iterdir()), what="every project was used")
    assert check(copy) == []


def test_no_false_alarm_on_a_busy_server(busy):
    server, load = busy
    submitted = len(load.acknowledged)
    for _ in range(3):
        assert check(server) == []
    assert len(load.acknowledged) > submitted


def test_a_server_that_is_killed_leaves_nothing_that_check_cannot_mend(busy):
    server, load = busy
    orphan = server.folder / "stash" / "00000000-0000-4000-8000-000000000000.zip"
    orphan.write_bytes(b"PK")
    server.settings["CI_ORPHAN_GRACE"] = "0"
    load.over.set()
    server.kill()
    load.stop()
    assert "stash_orphan" in {finding["name"] for finding in check(server)}
    done = server.ci("admin", "check", "--repair")
    assert done.returncode == 0, done.stdout.decode()
    assert not orphan.exists()
    assert check(server) == []
    server.restart()
    for job_id in load.acknowledged:
        assert server.until(job_id, "completed")["success"] is True


def test_an_expired_job_is_gone_with_its_log(servers, namespace, project):
    server = servers(namespace, executor="local").start()
    old = server.submit(project())
    server.until(old, "completed")
    server.stop()
    server.settings["CI_KEEP_JOBS_FOR"] = "1ms"
    server.restart()
    eventually(lambda: server.get(f"/jobs/{old}").status_code == 404, what="the job has expired")
    assert server.ci("status", old).returncode == 2
    assert server.get("/jobs").json() == []
    eventually(lambda: not list((server.folder / "logs").iterdir()), what="its log is gone")
    new = server.submit(project())
    assert server.until(new, "completed")["success"] is True


@pytest.mark.docker
class TestACopyBesideTheOriginal:
    """Both run on one engine, with the same settings, and with a job that runs in both."""

    @pytest.fixture
    def engines(self, namespace):
        """Engines seen through the namespaces of copies, cleared in the end."""
        made = []

        def see(prefix: str) -> Engine:
            made.append(Engine(prefix))
            return made[-1]

        yield see
        for engine in made:
            engine.clear()
            engine.close()

    def token(self, copy: Server) -> str:
        ((token,),) = copy.rows("SELECT token FROM restores")
        return token

    def test_neither_touches_the_others_containers(
        self, engines, server, servers, engine, namespace, waiting
    ):
        job_id = server.submit(waiting())
        server.until_log(job_id, "started")
        original = engine.of(job_id).id
        copy = restored(servers, backed_up(server), namespace, executor="docker")
        copys = engines(f"{namespace}{self.token(copy)}_")
        copy.settings["CI_ORPHAN_GRACE"] = "0"
        copy.start()

        # The copy runs the job again, in a container of its own.
        eventually(lambda: copys.of(job_id), what="the copy has begun the job")
        eventually(lambda: copy.text(job_id).count("started") == 2, what="it has started there")
        assert engine.of(job_id).id == original
        assert server.job(job_id)["status"] == "running"

        copys.go(job_id)
        assert copy.until(job_id, "completed")["attempt"] == 2
        eventually(lambda: not copys.containers(), what="the copy's container is removed")
        assert engine.of(job_id).id == original

        engine.go(job_id)
        job = server.until(job_id, "completed")
        assert (job["success"], job["attempt"]) == (True, 1)
        assert server.text(job_id).endswith("started\ndone\n")
        assert server.text(job_id).count("started") == 1

    def test_a_copy_of_a_copy_is_a_third(self, engines, server, servers, namespace, project):
        server.until(server.submit(project()), "completed")
        first = restored(servers, backed_up(server), namespace, executor="docker")
        second = restored(servers, backed_up(first), namespace, "again", executor="docker")
        tokens = {token for (token,) in second.rows("SELECT token FROM restores")}
        assert len(tokens) == 2
        newest = (tokens - {self.token(first)}).pop()
        second.start()
        seen = engines(f"{namespace}{newest}_")
        eventually(seen.networks, what="the copy of the copy has its own network")
        job_id = second.submit(project())
        assert second.until(job_id, "completed")["success"] is True
