"""Jobs that take more than they may, or will not end: the job bears it, nobody else."""

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker

WARNING = "[ci] A process of this job was killed because the job's memory was used up"
GREEDY = "python3 -c 'b = bytearray(10**9)'"


@pytest.mark.parametrize(("exit_code", "reason"), [(0, "passed"), (3, "failed")])
def test_a_child_out_of_memory(server, project, exit_code, reason):
    """Fault 25. The command's own exit code decides, and the log says what happened."""
    made = project(f"{GREEDY}\necho 'child ended with' $?\nexit {exit_code}", memory="64m")
    done = server.ci("submit", str(made.path), "--passthrough-exit")
    assert done.returncode == exit_code, done.stderr.decode()
    out = done.stdout.decode()
    assert "child ended with 137\n" in out
    assert out.splitlines()[-1].startswith(WARNING)
    assert server.job("last")["reason"] == reason


PIDS = 64
FORK_BOMB = """
python3 -c '
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.1)
'
"""


def test_a_fork_bomb(servers, engine, namespace, project, waiting):
    """Fault 26. It fills its own place and no other; its time limit ends it."""
    server = servers(namespace, executor="docker", job_pids=str(PIDS), max_running="2").start()
    peaceful = server.submit(waiting())
    server.until_log(peaceful, "started")
    bomb = server.submit(project(FORK_BOMB, timeout="8s", cpus=0.5))
    eventually(lambda: processes_of(engine, bomb) == PIDS, what="it has all it may have")
    engine.go(peaceful)
    assert server.until(peaceful, "completed")["success"] is True
    assert server.job(bomb)["status"] == "running"
    assert processes_of(engine, bomb) <= PIDS
    assert server.until(bomb, "completed")["reason"] == "timed_out"
    eventually(lambda: engine.of(bomb) is None, what="container removed")


def processes_of(engine, job_id: str) -> int:
    container = engine.of(job_id)
    if container is None or container.status != "running":
        return 0
    return container.stats(stream=False)["pids_stats"].get("current", 0)


def test_a_job_that_ignores_sigterm(servers, engine, namespace, project):
    """Fault 27. It is asked, has its grace, and is killed."""
    server = servers(namespace, executor="docker", stop_grace="2").start()
    script = "trap 'echo asked to end' TERM\necho started\nwhile :; do sleep 0.2; done"
    made = project(script, timeout="1s")
    # As the container's main process: a shell around it would take the signal and go.
    toml = "install = []\ncommand = ['sh', 'run.sh']\ntimeout = '1s'\n"
    job_id = server.submit(made.write({"ci.toml": toml}))
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("timed_out", 137)
    log = server.text(job_id)
    assert log.count("asked to end\n") == 1
    assert log.endswith("[ci] Stopped: the job took longer than its time limit of 1 s.\n")
    eventually(lambda: engine.of(job_id) is None, what="container removed")


def test_a_time_limit_while_the_job_writes_without_end(server, engine, project):
    """Fault 29. What it wrote until then is kept."""
    job_id = server.submit(project("while :; do echo x; done", timeout="2s"))
    job = server.until(job_id, "completed")
    assert (job["reason"], job["success"]) == ("timed_out", False)
    *written, last = server.text(job_id).partition("$ sh run.sh\n")[2].splitlines()
    assert set(written) == {"x"}
    assert last == "[ci] Stopped: the job took longer than its time limit of 2 s."
    assert server.ci("wait", job_id).returncode == 6
    eventually(lambda: engine.of(job_id) is None, what="container removed")


def test_a_background_process_that_keeps_writing(server, engine, project):
    """Fault 28. The job ends with its main process, and takes the others along."""
    job_id = server.submit(
        project("(while :; do echo from behind; sleep 0.1; done) &\nsleep 1\necho bye\nexit 4")
    )
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("failed", 4)
    assert "bye\n" in server.text(job_id)
    eventually(lambda: engine.of(job_id) is None, what="container removed")
