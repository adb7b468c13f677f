"""The filter before the engine as a process here: what the server needs passes, and only that."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests import plain_http
from tests.deploy.engine_calls import assert_only_ours_pass
from tests.deploy.front import DEPLOY, put
from tests.e2e.harness import WAIT_FOR_GO, Engine, Project, Server
from tests.ports import free_port
from tests.waiting import eventually

CONFIGURATION = DEPLOY / "engine-proxy" / "haproxy.cfg"


@dataclass(frozen=True)
class Filter:
    port: int
    log: Path

    def answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/_ping"
            return plain_http.get(url, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    def ask(self, *calls: str) -> str:
        """Send calls, a method and a path each; return the statuses."""
        statuses = []
        for call in calls:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as opened:
                opened.request(
                    *call.split(), body=b"{}", headers={"Content-Type": "application/json"}
                )
                statuses.append(str(opened.getresponse().status))
        return " ".join(statuses)


@pytest.fixture
def engine_filter(proxies, tmp_path: Path) -> Iterator[Filter]:
    made = Filter(free_port(), tmp_path / "haproxy.log")
    written = tmp_path / "haproxy.cfg"
    written.write_text(
        put(CONFIGURATION.read_text(), {r"bind :2375": f"bind 127.0.0.1:{made.port}"})
    )
    with made.log.open("ab") as log:
        process = subprocess.Popen(
            [proxies["haproxy"], "-db", "-f", str(written)], stdout=log, stderr=log
        )
    try:
        eventually(made.answers, what=f"haproxy answers; its log: {made.log}")
        yield made
    finally:
        process.kill()
        process.wait()
        print(made.log.read_text())


@pytest.fixture
def server(engine_filter: Filter, namespace: str, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    there = f"tcp://127.0.0.1:{engine_filter.port}"
    settings = {"CI_EXECUTOR": "docker", "DOCKER_HOST": there, "CI_DATA_DIR": str(folder)}
    server = Server(folder, namespace, settings)
    engine = Engine(namespace)
    try:
        yield server.start()
    finally:
        server.stop()
        print(server.log.read_text())
        engine.clear()
        engine.close()


@pytest.mark.docker
def test_a_job_that_installs_and_one_that_is_cancelled_need_no_other_calls(
    server: Server, engine_filter: Filter, tmp_path: Path
) -> None:
    project = Project(tmp_path / "installs")
    project.path.mkdir()
    command = "command = \"python3 -c 'import humanize'\"\n"
    project.write({"ci.toml": command, "requirements.txt": "humanize==4.9.0\n"})
    done = server.ci("submit", str(project.path))
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    with closing(Engine(server.namespace)) as engine:
        assert engine.snapshots(), "what was installed is kept as an image"

    waits = Project(tmp_path / "waits")
    waits.path.mkdir()
    script = f"echo started; {WAIT_FOR_GO.format(go='/tmp/go')}"
    waits.write({"ci.toml": f"install = []\ncommand = '{script}'\n"})
    job = server.submit(waits)
    server.until_log(job, "started")
    server.ci("cancel", job)
    server.until(job, "cancelled")

    refused = [line for line in engine_filter.log.read_text().splitlines() if " 403 " in line]
    assert not refused, "the server needs a call that haproxy.cfg does not let through"


@pytest.mark.docker
def test_only_the_calls_that_the_server_makes_pass(engine_filter: Filter) -> None:
    assert_only_ours_pass(engine_filter.ask)
    refused = [line for line in engine_filter.log.read_text().splitlines() if " 403 " in line]
    assert refused, "a call that was refused is said in the filter's log"
