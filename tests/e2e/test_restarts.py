"""Servers that end in every way while jobs wait, run and end; nothing is lost, nothing doubled."""

import os
import signal

import pytest

from tests.e2e.harness import children
from tests.waiting import eventually

pytestmark = pytest.mark.docker

ENDINGS = ["terminate", "kill"]


def end(server, how: str) -> None:
    getattr(server, how)()


def log_of_a_waiting_job(server, job_id) -> str:
    text = server.text(job_id)
    return text[text.index("started") :]


@pytest.mark.parametrize("how", ENDINGS)
def test_while_queued(servers, engine, namespace, waiting, how):
    server = servers(namespace, executor="docker", max_running="1").start()
    first, second = server.submit(waiting()), server.submit(waiting())
    server.until_log(first, "started")
    end(server, how)
    server.restart()
    assert server.job(second)["status"] == "queued"
    engine.go(first)
    server.until_log(second, "started")
    engine.go(second)
    for job_id in (first, second):
        assert server.until(job_id, "completed")["success"] is True
        assert log_of_a_waiting_job(server, job_id) == "started\ndone\n"


@pytest.mark.parametrize("how", ENDINGS)
def test_while_running(server, engine, waiting, how):
    """Faults 7 and 10: the job goes on; its log has no gap and no doubles."""
    job_id = server.submit(waiting(exit_code=7))
    server.until_log(job_id, "started")
    end(server, how)
    server.restart()
    engine.go(job_id)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"], job["attempt"]) == ("failed", 7, 1)
    assert log_of_a_waiting_job(server, job_id) == "started\ndone\n"


@pytest.mark.parametrize("how", ENDINGS)
def test_after_the_exit(server, engine, waiting, how):
    """Fault 8: it ended while no server was there; the engine knows how."""
    job_id = server.submit(waiting(exit_code=7))
    server.until_log(job_id, "started")
    end(server, how)
    engine.go(job_id)
    eventually(lambda: engine.of(job_id).status == "exited", what="the job has ended")
    server.restart()
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("failed", 7)
    assert log_of_a_waiting_job(server, job_id) == "started\ndone\n"
    eventually(lambda: not engine.containers(), what="container removed")


def test_a_running_job_that_writes_all_the_time_keeps_every_line(server, project):
    """Killed again and again in the middle of its output."""
    lines = 3000
    made = project(f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done; sleep 1")
    job_id = server.submit(made)
    server.until_log(job_id, "line 1\n")
    for _ in range(3):
        server.kill()
        server.restart()
    server.until(job_id, "completed")
    text = server.text(job_id)
    expected = "".join(f"line {n}\n" for n in range(1, lines + 1))
    assert text[text.index("line 1\n") :] == expected


def test_a_stream_lives_through_a_restart(server, engine, waiting):
    """The client takes the stream up where it was, and nothing comes twice."""
    process = server.ci_process("submit", str(waiting().path))
    with process:
        lines = iter(process.stdout.readline, b"")
        assert b"started\n" in lines
        job_id = server.job("last")["job_id"]
        server.kill()
        server.restart()
        engine.go(job_id)
        rest, _ = process.communicate(timeout=60)
    assert rest == b"done\n"
    assert process.returncode == 0


def test_sigterm_with_open_streams_ends_within_its_grace(server, engine, waiting):
    """Fault 10."""
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    readers = [server.ci_process("wait", "--all", job_id) for _ in range(3)]
    for reader in readers:
        assert b"started\n" in iter(reader.stdout.readline, b"")
    server.terminate()
    assert engine.of(job_id).status == "running"
    server.restart()
    engine.go(job_id)
    for reader in readers:
        rest, _ = reader.communicate(timeout=60)
        assert (reader.returncode, rest) == (0, b"done\n")


def test_the_leader_of_two_workers_is_killed(servers, engine, namespace, waiting):
    """Fault 21: the other worker takes over; jobs before and after are run once."""
    server = servers(namespace, executor="docker", workers=2).start()
    lock = server.folder / "controller.lock"
    leader = int(eventually(lambda: lock.read_text().strip(), what="a leader"))
    assert leader in children(server.process.pid)
    before = server.submit(waiting())
    server.until_log(before, "started")
    os.kill(leader, signal.SIGKILL)
    eventually(
        lambda: lock.read_text().strip() not in ("", str(leader)), what="another worker leads"
    )
    eventually(server.answers, what="the server answers")
    after = server.submit(waiting())
    server.until_log(after, "started")
    for job_id in (before, after):
        engine.go(job_id)
        assert server.until(job_id, "completed")["success"] is True
        assert log_of_a_waiting_job(server, job_id) == "started\ndone\n"
        assert server.job(job_id)["attempt"] == 1


def test_two_servers_on_one_database(servers, engine, namespace, waiting):
    """Fault 21: one controls, the other serves, and takes over when the first is gone."""
    first = servers(namespace, executor="docker").start()
    second = servers(namespace, name="second", executor="docker")
    second.settings["CI_DB_PATH"] = str(first.folder / "ci_jobs.db")
    second.start()
    job_id = second.submit(waiting())
    second.until_log(job_id, "started")
    first.kill()
    engine.go(job_id)
    assert second.until(job_id, "completed")["success"] is True
    assert log_of_a_waiting_job(second, job_id) == "started\ndone\n"


def test_what_a_crash_left_on_disk_is_swept(servers, engine, namespace, project):
    """Faults 1 and 2: temporary files and stashes without a row."""
    server = servers(namespace, executor="docker", orphan_grace="0").start()
    server.until(server.submit(project()), "completed")
    server.kill()
    orphan = "00000000-0000-4000-8000-000000000000"
    (server.folder / "stash" / f"{orphan}.zip").write_bytes(b"PK")
    (server.folder / "tmp" / "half-an-upload").write_bytes(b"PK")
    server.restart()

    def swept() -> bool:
        return not any(list((server.folder / name).iterdir()) for name in ("stash", "tmp"))

    eventually(swept, what="orphans swept")


def test_an_orphan_container_is_removed(servers, engine, namespace, project, runner_image):
    servers(namespace, executor="docker", orphan_grace="0").start()
    stray = engine.client.containers.create(
        runner_image,
        ["sleep", "60"],
        name=f"{namespace}ci-00000000-0000-4000-8000-000000000000-1",
        labels={"ci.namespace": namespace, "ci.role": "job"},
    )
    eventually(lambda: not engine.containers(), what=f"{stray.name} removed")
