"""Who goes first, who waits for whom, and what is run again: through the command, really run."""

import contextlib
import json
import signal

import pytest

from tests import plain_http
from tests.invariants import leftovers
from tests.waiting import eventually

WAIT = "echo started\nuntil [ -e {go} ]; do sleep 0.05; done"


@pytest.fixture
def local(servers, namespace):
    """A server without an engine that runs one job at a time."""
    kept = {"keep_projects_for": "7d"}
    return servers(namespace, executor="local", max_running="1", **kept).start()


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "go"


@pytest.fixture
def blocker(local, project, gate):
    """A job that runs until the gate is there, so that all others wait."""
    job_id = submitted(local, project(WAIT.format(go=gate)), "--submitter", "blocker")
    local.until_log(job_id, "started")
    return job_id


def submitted(server, made, *options: str) -> str:
    done = server.ci("submit", "--async", str(made.path), *options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_turns_labels_and_limits_by_the_command(local, blocker, project, gate):
    """Fair share, priority, and what the job is told."""
    made = project('echo "by $0"')
    many = [submitted(local, made, "--submitter", "ann") for _ in range(3)]
    one = submitted(local, made, "--submitter", "bob", "--label", "nightly", "--label=a=b")
    urgent = submitted(local, made, "--submitter", "cy", "--priority", "5", "--timeout", "90")
    positions = [local.job(job_id)["position"] for job_id in (urgent, many[0], one, *many[1:])]
    assert positions == [1, 2, 3, 4, 5]
    shown = local.ci("status", one).stdout.decode()
    assert "bob" in shown
    assert "nightly, a=b" in shown
    assert local.job(urgent)["priority"] == 5
    gate.touch()
    for job_id in (*many, one, urgent):
        assert local.until(job_id, "completed")["success"] is True
    rows = local.rows("SELECT id FROM jobs WHERE attempt ORDER BY started_wall")
    assert [row[0] for row in rows] == [blocker, urgent, many[0], one, *many[1:]]


def test_a_wrong_option_is_told_with_the_way_out(servers, namespace, project):
    server = servers(namespace, executor="local", max_job_memory="64m").start()
    made = project()
    for options, names in (
        (("--priority", "11"), "priority"),
        (("--memory", "1g"), "CI_MAX_JOB_MEMORY"),
        (("--disk", "1g"), "disk"),
        (("--group-policy", "queue"), "group"),
    ):
        done = server.ci("submit", str(made.path), *options)
        assert (done.returncode, names in done.stderr.decode()) == (2, True), done.stderr
    greedy = server.ci("submit", str(project(memory="128m").path))
    assert (greedy.returncode, "CI_MAX_JOB_MEMORY" in greedy.stderr.decode()) == (2, True)
    assert server.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_a_job_that_waits_longer_than_it_is_to(local, blocker, project):
    done = local.ci("submit", str(project().path), "--queue-timeout", "1")
    assert done.returncode == 6
    told = done.stderr.decode()
    assert "timed out in the queue" in told
    assert "--queue-timeout" in told
    (job,) = [each for each in local.get("/jobs").json() if each["job_id"] != blocker]
    assert (job["status"], job["reason"]) == ("cancelled", "queue_timed_out")
    assert (job["attempt"], job["start_time"]) == (0, None)


def test_the_older_run_of_a_branch_is_cancelled(local, project, gate):
    """Running or queued; whoever watches it is told why."""
    branch = ("--group", "main")
    made = project(WAIT.format(go=gate))
    watcher = local.ci_process("submit", str(made.path), *branch)
    with watcher:
        assert b"started\n" in iter(watcher.stdout.readline, b"")
        queued = submitted(local, made, *branch)
        _, told = watcher.communicate(timeout=60)
    assert watcher.returncode == 7
    assert queued in told.decode()
    local.until_log(queued, "started")
    waiting = submitted(local, made, "--group", "other")
    newest = submitted(local, made, "--group", "other")
    assert local.job(waiting)["status"] == "cancelled"
    assert newest in local.job(waiting)["detail"]
    gate.touch()
    assert local.until(newest, "completed")["success"] is True


def test_one_of_a_group_at_a_time(servers, namespace, project, gate):
    """Others are not held up, and a server that is killed in between changes nothing."""
    server = servers(namespace, executor="local", max_running="4").start()
    in_order = ("--group", "deploy", "--group-policy", "queue")
    made = project(WAIT.format(go=gate))
    first, second = submitted(server, made, *in_order), submitted(server, made, *in_order)
    server.until_log(first, "started")
    other = submitted(server, project())
    assert server.until(other, "completed")["success"] is True
    assert server.job(second)["status"] == "queued"
    server.kill()
    server.restart()
    again = submitted(server, project())
    assert server.until(again, "completed")["success"] is True
    assert server.job(second)["status"] == "queued"
    gate.touch()
    for job_id in (first, second):
        assert server.until(job_id, "completed")["success"] is True
    moments = {
        job_id: (started, ended)
        for job_id, started, ended in server.rows("SELECT id, started_wall, ended_wall FROM jobs")
    }
    assert moments[first][1] <= moments[second][0]


def test_a_job_is_run_again(local, project):
    made = project("echo it ran; exit 3")
    done = local.ci("submit", str(made.path), "--label", "a=b")
    assert done.returncode == 1
    first = local.get("/jobs").json()[0]["job_id"]
    made.write({"run.sh": "exit 0\n"})  # what was sent then counts, not what is here now
    again = local.ci("retry", "last", "--priority", "2", "--passthrough-exit")
    assert again.returncode == 3, again.stderr.decode()
    assert "it ran" in again.stdout.decode()
    newest = local.get("/jobs").json()[0]
    assert (newest["retry_of"], newest["labels"]["a"], newest["priority"]) == (first, "b", 2)
    assert f"retry of   {first}" in local.ci("status", "last").stdout.decode()
    left = json.loads(local.ci("retry", first, "--async", "--json").stdout)["job_id"]
    assert local.until(left, "completed")["exit_code"] == 3
    refused = local.ci("retry", first, "--failed")
    assert (refused.returncode, "no failed test" in refused.stderr.decode()) == (2, True)
    assert leftovers(local.folder / "ci_jobs.db", local.folder) == []


def test_a_project_that_is_kept_no_longer_cannot_be_run_again(servers, namespace, project):
    server = servers(namespace, executor="local", keep_projects_for="0").start()
    job_id = server.submit(project())
    server.until(job_id, "completed")
    eventually(lambda: not list((server.folder / "stash").iterdir()), what="the project goes")
    done = server.ci("retry", job_id)
    assert (done.returncode, "ci submit" in done.stderr.decode()) == (2, True)
    answer = server.post(f"/api/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (410, "project_gone")


def test_a_tree_is_run_again_after_a_crash(local, project, tmp_path):
    """What was sent as a manifest reads from packs, which are kept as long as it is."""
    made = project("wc -c large | tr -d ' '")
    (made.path / "large").write_bytes(bytes(range(256)) * 2000)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert local.ci("submit", str(made.path), env=cache).returncode == 0
    assert list((local.folder / "stash").glob("*.tree"))
    local.kill()
    local.restart()
    again = local.ci("retry", "last")
    assert again.returncode == 0, again.stderr.decode()
    assert "512000" in again.stdout.decode()


def test_a_retry_that_was_taken_survives_a_crash(local, blocker, project, gate):
    job_id = submitted(local, project())
    local.ci("cancel", job_id)
    again = plain_http.post(f"{local.url}/api/v1/jobs/{job_id}/retry", timeout=60)
    with contextlib.suppress(ProcessLookupError):
        local.process.send_signal(signal.SIGKILL)
    local.process.wait()
    assert again.status_code == 201
    local.restart()
    gate.touch()
    assert local.until(again.json()["job_id"], "completed")["success"] is True
