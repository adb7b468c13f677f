"""The server as a process: how it starts, refuses to start, and ends."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from ci_common.errors import ConfigurationError
from ci_server.doctor import machine_checks
from ci_server.embedded import embedded_server
from ci_server.serve import run_server
from ci_server.settings import load_settings
from tests import plain_http
from tests.contract.http_harness import PROJECT, Reader
from tests.ports import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FILES = {"file": ("project.zip", PROJECT, "application/zip")}

NO_ENGINE = "tcp://127.0.0.1:1"
"""An engine that is not there: jobs stay queued, and nothing touches the machine's own.

Not a path: the SDK leaves the socket of a refused path to the garbage collector, with a warning.
"""

SERVE = "import sys; from ci_server.serve import run_server; sys.exit(run_server({arguments}))"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CI_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "CI_DB_PATH": str(folder / "ci_jobs.db"),
        "DOCKER_HOST": NO_ENGINE,
        "CI_EXECUTOR": "docker",
        **settings,
    }


@contextlib.contextmanager
def process(folder: Path, *command: str, **settings: str):
    log = folder / "server.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, *command],
            env=environment(folder, **settings),
            cwd=folder,
            stdout=out,
            stderr=out,
        )
    started.log = log
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def serve(folder: Path, arguments: str, **settings: str):
    return process(folder, "-c", SERVE.format(arguments=arguments), **settings)


def url_of(started) -> str:
    """Wait for the line that says where the server answers."""

    def look():
        text = started.log.read_text()
        assert started.poll() is None, text
        return re.search(r"Standby CI at (http://\S+) ", text)

    return eventually(look, what="the server says where it is")[1]


def ended(started) -> tuple[int, str]:
    return started.wait(60), started.log.read_text()


def answers(url: str, started) -> bool:
    assert started.poll() is None, started.log.read_text()
    try:
        return plain_http.get(url + "/health", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_ends_with_0(tmp_path, number):
    with serve(tmp_path, "'127.0.0.1', 0, 1, {}") as started:
        url = url_of(started)
        assert plain_http.get(url + "/health").status_code == 200
        started.send_signal(number)
        code, log = ended(started)
    assert code == 0
    assert "executor docker" in log
    assert str(tmp_path) in log
    assert "Traceback" not in log


def test_without_an_engine_jobs_wait_and_it_is_said(tmp_path):
    with serve(tmp_path, "port=0") as started:
        url = url_of(started)
        answer = plain_http.post(url + "/submit-async", files=FILES)
        assert answer.status_code == 200
        job = plain_http.get(f"{url}/jobs/{answer.json()['job_id']}").json()
        assert (job["status"], job["position"]) == ("queued", 1)
        ready = eventually(
            lambda: (found := plain_http.get(url + "/ready")).status_code == 503 and found,
            what="degraded",
        )
        assert "engine" in ready.json()["problems"]


def test_uvicorn_by_hand_ends_open_streams_at_once(tmp_path):
    port = free_port()
    command = ("-m", "uvicorn", "ci_server.app:app", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    with process(tmp_path, *command) as started:
        eventually(lambda: answers(url, started), what="uvicorn answers")
        with plain_http.stream("POST", url + "/submit-stream", files=FILES, timeout=60) as response:
            reader = Reader(response)
            assert next(reader)[1]["type"] == "job_id"
            assert next(reader)[1]["status"] == "queued"
            started.terminate()
            assert list(reader) == []
        # No grace period was given on the command line: uvicorn would wait for ever.
        started.wait(60)


def test_workers_share_one_port_and_one_queue(tmp_path):
    with serve(tmp_path, "'127.0.0.1', 0, 2, {'db_path': 'own.db'}") as started:
        url = url_of(started)
        job_id = plain_http.post(url + "/submit-async", files=FILES).json()["job_id"]
        for _ in range(10):
            assert plain_http.get(f"{url}/jobs/{job_id}").json()["status"] == "queued"
        started.terminate()
        code, log = ended(started)
    assert code == 0, log
    assert (tmp_path / "own.data" / "stash" / f"{job_id}.zip").exists()


def test_a_taken_port_is_said_clearly():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            run_server("127.0.0.1", port, 1, {})


def test_a_wrong_setting_stops_uvicorn_with_one_clear_line(tmp_path):
    command = ("-m", "uvicorn", "ci_server.app:app", "--port", str(free_port()))
    with process(tmp_path, *command, CI_MAX_RUNNING="many") as started:
        code, log = ended(started)
    assert code == 3
    assert "CI_MAX_RUNNING" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("workers", [1, 2])
def test_without_containers_a_server_for_others_refuses_to_start(tmp_path, workers):
    arguments = f"'0.0.0.0', 0, {workers}, {{}}"
    with serve(tmp_path, arguments, CI_EXECUTOR="auto", CI_LET_ANYONE_RUN_CODE="true") as started:
        code, log = ended(started)
    assert code == 3
    assert "listens on 0.0.0.0" in log
    assert "CI_HOST=127.0.0.1" in log
    assert "Traceback" not in log


def test_uvicorn_by_hand_for_others_refuses_too(tmp_path):
    port = str(free_port())
    command = ("-m", "uvicorn", "ci_server.app:app", "--host", "0.0.0.0", "--port", port)
    with process(tmp_path, *command, CI_EXECUTOR="auto") as started:
        code, log = ended(started)
    assert code == 3
    assert "without accounts must not listen on 0.0.0.0" in log
    for way_out in ("CI_HOST=127.0.0.1", "CI_ACCOUNTS=on", "--let-anyone-run-code"):
        assert way_out in log
    assert "Traceback" not in log


def test_without_containers_on_this_machine_alone_it_is_said_loudly(tmp_path):
    with serve(tmp_path, "port=0", CI_EXECUTOR="auto") as started:
        url = url_of(started)
        assert plain_http.get(url + "/ready").json()["executor"] == "local"
        assert "NO CONTAINER ENGINE" in started.log.read_text()


def test_a_database_of_the_future_is_left_alone(tmp_path):
    import sqlite3

    path = tmp_path / "ci_jobs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")
        connection.execute("CREATE TABLE of_the_future (x)")
        connection.commit()
    before = path.read_bytes()
    with serve(tmp_path, "port=0") as started:
        code, log = ended(started)
    assert code == 3
    assert "Traceback" not in log
    assert path.read_bytes() == before


def test_importing_the_application_reads_and_opens_nothing(tmp_path):
    script = "import ci_server.app, ci_server.serve, ci_server.embedded, ci_server.doctor"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path, CI_MAX_RUNNING="many"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_an_embedded_server_serves_and_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    handler = signal.getsignal(signal.SIGTERM)
    overrides = {"db_path": str(tmp_path / "run.db"), "executor": "docker", "log_level": "error"}
    async with embedded_server(overrides) as url, httpx2.AsyncClient(base_url=url) as client:
        job_id = (await client.post("/submit-async", files=FILES)).json()["job_id"]
        assert (await client.get(f"/jobs/{job_id}")).json()["status"] == "queued"
        assert signal.getsignal(signal.SIGTERM) is handler
    with pytest.raises(httpx2.TransportError):
        await asyncio.to_thread(plain_http.get, url + "/health")


async def test_an_embedded_server_that_cannot_start_says_so(tmp_path):
    folder = tmp_path / "ci_jobs.db"
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="did not start"):
        async with embedded_server({"db_path": str(folder), "executor": "local"}):
            pass


async def test_the_doctor_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    settings = load_settings({"db_path": str(tmp_path / "ci_jobs.db"), "executor": "auto"})
    checks = {check.name: check for check in await machine_checks(settings)}
    assert not checks["container engine"].ok
    assert "DOCKER_HOST" in checks["container engine"].fix
    assert not checks["executor"].ok
    assert "NO CONTAINER ENGINE" in checks["executor"].detail
    for name in ("data directory", "disk space", "database", "clock"):
        assert checks[name].ok, checks[name]
    assert list(tmp_path.iterdir()) == []


async def test_the_doctor_sees_a_broken_database_and_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    path = tmp_path / "ci_jobs.db"
    path.write_bytes(b"not a database" * 1000)
    settings = load_settings({"db_path": str(path), "executor": "local"})
    checks = {check.name: check for check in await machine_checks(settings)}
    assert not checks["database"].ok
    assert checks["database"].fix
    assert path.read_bytes() == b"not a database" * 1000


@pytest.mark.docker
async def test_the_doctor_is_content_where_all_is_well(tmp_path, runner_image):
    settings = load_settings(
        {"db_path": str(tmp_path / "ci_jobs.db"), "default_image": runner_image}
    )
    checks = await machine_checks(settings)
    assert {check.name: check.detail for check in checks if not check.ok} == {}
    missing = load_settings(
        {"db_path": str(tmp_path / "ci_jobs.db"), "default_image": "no-such-image:here"}
    )
    assert [check.name for check in await machine_checks(missing) if not check.ok] == ["image"]
