"""The main job through the command line, on a real engine."""

import json
import subprocess

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker


def test_a_passing_project(server, project):
    done = server.ci("submit", str(project("echo hello from the container").path))
    assert done.returncode == 0, done.stderr.decode()
    assert "hello from the container\n" in done.stdout.decode()
    assert "passed" in done.stderr.decode().splitlines()[-1]


def test_a_failing_project_says_so_and_exits_1(server, project):
    done = server.ci("submit", str(project("echo oh no; exit 3").path))
    assert done.returncode == 1
    assert "oh no\n" in done.stdout.decode()
    assert "failed" in done.stderr.decode()


def test_the_commands_own_exit_status_on_request(server, project):
    done = server.ci("submit", "--passthrough-exit", str(project("exit 37").path))
    assert done.returncode == 37


def test_a_project_with_tests_and_no_configuration(server, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "test_it.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    done = server.ci("submit", str(folder))
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert "2 passed" in done.stdout.decode()
    assert "Running tests..." in done.stdout.decode()


def test_no_tests_is_told_apart_from_failed_tests(server, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "module.py").write_text("x = 1\n")
    done = server.ci("submit", str(folder))
    assert done.returncode == 1
    assert server.job("last")["reason"] == "no_tests"


def test_a_command_of_ones_own(server, project):
    done = server.ci("submit", str(project("exit 1").path), "--", "echo", "a b", "$HOME")
    assert done.returncode == 0, done.stderr.decode()
    assert "a b $HOME\n" in done.stdout.decode()


def test_output_streams_while_the_job_runs(server, engine, waiting):
    process = server.ci_process("submit", str(waiting().path))
    with process:
        lines = iter(process.stdout.readline, b"")
        assert b"started\n" in lines
        engine.go(server.job("last")["job_id"])
        assert b"done\n" in lines
        process.communicate()
    assert process.returncode == 0


def test_async_then_wait_from_the_beginning_and_from_now(server, engine, waiting):
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    everything = server.ci_process("wait", job_id, "--all")
    onwards = server.ci_process("wait", job_id)
    with everything, onwards:
        assert b"started\n" in iter(everything.stdout.readline, b"")
        # Both are connected when both have said so: the first line on stderr names the job.
        assert job_id.encode() in onwards.stderr.readline()
        engine.go(job_id)
        whole, _ = everything.communicate(timeout=60)
        rest, _ = onwards.communicate(timeout=60)
    assert (everything.returncode, onwards.returncode) == (0, 0)
    assert b"done\n" in whole
    assert b"done\n" in rest or rest == b""
    assert b"started" not in rest


def test_waiting_for_an_ended_job(server, project):
    job_id = server.submit(project("echo out; exit 1"))
    server.until(job_id, "completed")
    now = server.ci("wait", job_id)
    replay = server.ci("wait", job_id[:8], "--all")
    assert (now.returncode, replay.returncode) == (1, 1)
    assert now.stdout == b""
    assert b"out\n" in replay.stdout


def test_two_readers_see_the_same(server, engine, waiting):
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    readers = [server.ci_process("wait", "--all", job_id) for _ in range(2)]
    for reader in readers:
        assert b"started\n" in iter(reader.stdout.readline, b"")
    engine.go(job_id)
    outputs = [reader.communicate(timeout=60)[0] for reader in readers]
    assert outputs[0] == outputs[1]
    assert outputs[0].count(b"done\n") == 1


def test_ndjson(server, project):
    done = server.ci("submit", "--json", str(project("echo hello").path))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "job_id"
    assert "hello\n" in "".join(e["data"] for e in events if e["type"] == "log")
    last = events[-1]
    assert (last["type"], last["success"], last["exit_code"]) == ("complete", True, 0)
    assert last["reason"] == "passed"


def test_logs_status_and_list(server, project):
    passing = server.submit(project("seq 1 100"))
    failing = server.submit(project("exit 1"))
    for job_id in (passing, failing):
        server.until(job_id, "completed")
    tail = server.ci("logs", passing, "--tail", "3")
    assert tail.stdout.decode() == "98\n99\n100\n"
    assert server.ci("logs", "last").returncode == 0
    status = json.loads(server.ci("status", "--json", passing).stdout)
    assert (status["job_id"], status["success"]) == (passing, True)
    listed = [json.loads(line) for line in server.ci("list", "--json").stdout.splitlines()]
    assert [job["job_id"] for job in listed] == [failing, passing]
    table = server.ci("list").stdout.decode()
    assert "passed" in table
    assert "failed" in table


def test_what_was_there_comes_back_out(server, tmp_path, project):
    """Executable bits, symlinks, odd names and empty files survive the way."""
    made = project("./tool\ncat 'link to it' 'odd ä'\ntest -e empty && test ! -s empty")
    tool = made.path / "tool"
    tool.write_text("#!/bin/sh\necho tool ran\n")
    tool.chmod(0o755)
    (made.path / "target").write_text("through the link\n")
    (made.path / "link to it").symlink_to("target")
    (made.path / "empty").touch()
    (made.path / "odd ä").write_text("odd\n")
    done = server.ci("submit", str(made.path))
    assert done.returncode == 0, done.stdout.decode()
    assert "tool ran\nthrough the link\nodd\n" in done.stdout.decode()


def test_ctrl_c_detaches_and_the_job_goes_on(server, engine, waiting):
    process = server.ci_process("submit", str(waiting().path))
    with process:
        assert b"started\n" in iter(process.stdout.readline, b"")
        process.send_signal(subprocess.signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    job_id = server.job("last")["job_id"]
    assert f"ci wait {job_id}" in stderr.decode()
    engine.go(job_id)
    assert server.until(job_id, "completed")["success"] is True


def test_no_server_exits_5_and_says_what_to_do(server, project):
    server.stop()
    done = server.ci("submit", str(project().path), timeout=120)
    assert done.returncode == 5
    assert "ci serve" in done.stderr.decode()


@pytest.mark.parametrize(
    "arguments", [["submit", "/nonexistent"], ["wait"], ["nonsense"], ["status", "--bad"]]
)
def test_wrong_arguments_exit_2(server, arguments):
    done = server.ci(*arguments)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_an_unknown_job(server):
    done = server.ci("status", "0000")
    assert done.returncode == 2
    assert "0000" in done.stderr.decode()


def test_nothing_is_left_of_an_ended_job(server, engine, project):
    job_id = server.submit(project())
    server.until(job_id, "completed")
    eventually(lambda: not engine.containers(), what="container removed")
    eventually(lambda: not list((server.folder / "stash").iterdir()), what="stash removed")
    assert list((server.folder / "tmp").iterdir()) == []
    assert "hello" in server.text(job_id)


@pytest.mark.parametrize("name", ["passing", "failing", "with-dependencies"])
def test_the_examples(server, name, request):
    folder = request.config.rootpath / "examples" / name
    done = server.ci("submit", str(folder), timeout=240)
    assert done.returncode == (1 if name == "failing" else 0), done.stdout.decode()
