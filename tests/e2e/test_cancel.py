"""Cancelling in every state, twice: one ended state, and nothing that runs behind it."""

import contextlib
import os
import signal
import socket

import docker
import httpx2
import pytest

from tests import plain_http
from tests.e2e.harness import children
from tests.waiting import eventually

NOTE = "[ci] Stopped: the job was cancelled.\n"


def delete(server, job_id: str) -> httpx2.Response:
    return plain_http.delete(f"{server.url}/api/v1/jobs/{job_id}", timeout=60)


def assert_over(server, engine, job_id: str) -> None:
    """It is cancelled for good, nothing of it runs, and then nothing of it is left."""
    job = server.job(job_id)
    assert (job["status"], job["reason"], job["success"]) == ("cancelled", "cancelled", False)
    container = engine.of(job_id)
    assert container is None or container.status != "running"
    assert delete(server, job_id).json() == job
    assert server.ci("cancel", job_id).returncode == 0
    assert server.job(job_id) == job
    assert server.rows(f"SELECT attempt FROM jobs WHERE id = '{job_id}'") == [(job["attempt"],)]
    eventually(lambda: engine.of(job_id) is None, what="container removed")
    stash = server.folder / "stash"
    eventually(lambda: not list(stash.glob(f"{job_id}*")), what="stash removed")


@pytest.mark.docker
def test_a_queued_job(servers, engine, namespace, waiting):
    """Fault 30."""
    server = servers(namespace, executor="docker", max_running="1").start()
    running, queued, behind = (server.submit(waiting()) for _ in range(3))
    done = server.ci("cancel", queued)
    assert done.returncode == 0, done.stderr.decode()
    assert server.job(behind)["position"] == 1
    assert_over(server, engine, queued)
    assert server.job(queued)["start_time"] is None
    assert server.ci("wait", queued).returncode == 7
    server.until_log(running, "started")
    engine.go(running)
    server.until_log(behind, "started")


@pytest.mark.docker
def test_a_running_job(server, engine, waiting):
    """Fault 30. The command returns when it is stopped; who watches it is told."""
    job_id = server.submit(waiting())
    watcher = server.ci_process("wait", job_id, "--all")
    with watcher:
        assert b"started\n" in iter(watcher.stdout.readline, b"")
        done = server.ci("cancel", job_id[:8])
        assert done.returncode == 0, done.stderr.decode()
        assert_over(server, engine, job_id)
        rest, stderr = watcher.communicate(timeout=60)
    assert watcher.returncode == 7
    assert rest.decode() == NOTE
    assert "cancelled" in stderr.decode()
    assert server.text(job_id).endswith(f"started\n{NOTE}")


@pytest.mark.docker
def test_a_job_that_ignores_sigterm(servers, engine, namespace, project):
    """Fault 27. Fault 30. Asked for at once, stopped after the grace."""
    server = servers(namespace, executor="docker", stop_grace="2").start()
    made = project("trap '' TERM\necho started\nwhile :; do sleep 1; done")
    made.write({"ci.toml": "install = []\ncommand = ['sh', 'run.sh']\n"})
    job_id = server.submit(made)
    server.until_log(job_id, "started")
    for _ in range(2):
        answer = delete(server, job_id)
        assert (answer.status_code, answer.json()["stopping"]) == (202, "cancelled")
    assert server.job(job_id)["status"] == "running"
    job = server.until(job_id, "cancelled")
    assert job["exit_code"] == 137
    assert_over(server, engine, job_id)


@pytest.mark.docker
def test_a_job_that_has_ended(server, engine, project):
    """Fault 30. Its verdict stands."""
    job_id = server.submit(project("exit 3"))
    job = server.until(job_id, "completed")
    assert delete(server, job_id).status_code == 409
    done = server.ci("cancel", job_id)
    assert (done.returncode, "failed" in done.stderr.decode()) == (2, True)
    assert server.job(job_id) == job


@pytest.fixture
def silent_registry():
    """The address of a registry that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.docker
def test_a_job_whose_image_is_being_pulled(server, engine, project, silent_registry):
    """Fault 30. There is no container yet, and there would be none for minutes."""
    job_id = server.submit(project(image=f"{silent_registry}/nothing:1"))
    server.until(job_id, "running")
    done = server.ci("cancel", job_id)
    assert done.returncode == 0, done.stderr.decode()
    assert_over(server, engine, job_id)
    assert server.text(job_id) == NOTE
    other = server.submit(project())
    assert server.until(other, "completed")["success"] is True


@pytest.mark.docker
def test_wherever_a_job_is_on_its_way(servers, engine, namespace, project):
    """Fault 30. Cancelled as soon as it is submitted, at whatever step that finds it."""
    server = servers(namespace, executor="docker", max_running="4").start()
    jobs = []
    for _ in range(6):
        jobs.append(server.submit(project("echo started; sleep 600")))
        assert delete(server, jobs[-1]).status_code in (200, 202)
    for job_id in jobs:
        server.until(job_id, "cancelled")
    for job_id in jobs:
        assert_over(server, engine, job_id)
    eventually(lambda: not engine.containers(), what="no container is left")
    eventually(lambda: len(engine.standbys()) == 1, what="one standby, and none is lost")
    last = server.submit(project())
    assert server.until(last, "completed")["success"] is True


@pytest.mark.docker
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_is_killed(servers, engine, namespace, waiting, when):
    """Fault 30. A request that was taken is carried out by the next server."""
    server = servers(namespace, executor="docker", stop_grace="30").start()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    if when == "before":
        server.kill()
        server.restart()
        assert server.ci("cancel", job_id).returncode == 0
    else:
        # A stopped container ends nothing, so the stop is under way when the server dies.
        engine.of(job_id).pause()
        assert delete(server, job_id).status_code == 202
        server.kill()
        try:
            engine.of(job_id).unpause()
        except docker.errors.APIError as error:
            # The stop got through: the engine lets a container go on that it sends a signal.
            if "is not paused" not in str(error):
                raise
        server.restart()
    server.until(job_id, "cancelled")
    assert_over(server, engine, job_id)
    assert server.text(job_id).endswith(f"started\n{NOTE}")
    assert server.job(job_id)["attempt"] == 1


@pytest.mark.docker
def test_through_a_worker_that_does_not_run_the_jobs(servers, engine, namespace, waiting):
    """Fault 30. Every worker takes cancels, and the one that controls is told."""
    server = servers(namespace, executor="docker", workers=2, reconcile_interval="3600").start()
    lock = server.folder / "controller.lock"
    leader = int(eventually(lambda: lock.read_text().strip(), what="a leader"))
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    with stopped(leader):
        # Only the other one can answer now.
        assert delete(server, job_id).status_code == 202
    server.until(job_id, "cancelled")
    assert_over(server, engine, job_id)
    assert leader in children(server.process.pid)


@contextlib.contextmanager
def stopped(pid: int):
    """Have a process do nothing for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_local_job_and_what_it_started(servers, namespace, project, tmp_path):
    """Fault 30. Without an engine, the whole process group goes."""
    local = servers(namespace, executor="local").start()
    alive = tmp_path / "alive"
    job_id = local.submit(
        project(f"(while :; do date > {alive}; sleep 0.1; done) & echo started; sleep 600")
    )
    local.until_log(job_id, "started")
    assert local.ci("cancel", job_id).returncode == 0
    assert local.job(job_id)["status"] == "cancelled"
    alive.unlink(missing_ok=True)
    eventually(lambda: not any((local.folder / "local").glob("*")), what="scratch folder removed")
    assert not alive.exists()
