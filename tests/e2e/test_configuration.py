"""Settings from a file, the environment and flags, as `ci` and a server's process have them."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import CI, children
from tests.waiting import eventually


@pytest.fixture
def ci(tmp_path, servers, namespace):
    """Call ``ci`` as on the server's machine."""
    environment = servers(namespace, executor="local").environment()
    environment.pop("CI_DB_PATH")

    def call(*arguments: str, **environ: str):
        return subprocess.run(
            [CI, *arguments], env=environment | environ, cwd=tmp_path, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    return call


def test_show_tells_where_each_setting_comes_from(ci, tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text("max_files: 5\njob_env: {TOKEN: hunter2}\nport: 1\n")
    done = ci(
        "config", "show", "server", "--json", "--config", str(file), "--set", "port=8123",
        CI_MAX_RATIO="50",
    )  # fmt: skip
    shown = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert shown["max_files"] == {"name": "max_files", "value": "5", "origin": f"{file}:1"}
    assert shown["job_env"] == {"name": "job_env", "value": "…", "origin": f"{file}:2"}
    assert shown["port"] == {"name": "port", "value": "8123", "origin": "--set port"}
    assert shown["max_ratio"]["origin"] == "CI_MAX_RATIO"
    assert shown["max_starting"]["origin"] == "default"
    assert "hunter2" not in done.stdout + done.stderr
    text = ci("config", "show", "server", "--origin", CI_CONFIG=str(file)).stdout
    assert f"5  ({file}:1)" in text


def test_check_tells_what_is_wrong_and_starts_nothing(ci, tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text("max_files: 5\nprot: 1\njob_timeout: soon\n")
    done = ci("config", "check", "--config", str(file))
    assert done.returncode == 2
    assert f"{file}:2: prot: there is no such setting; do you mean port?" in done.stderr
    assert f"{file}:3: job_timeout: give seconds" in done.stderr
    assert done.stdout == ""
    file.write_text("max_files: 5\n")
    done = ci("config", "check", "--config", str(file), CI_MAX_RUNING="1")
    assert done.returncode == 0
    assert "CI_MAX_RUNING is no setting of the server; do you mean CI_MAX_RUNNING?" in done.stderr
    assert f"from {file} and the environment" in done.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_serve_refuses_before_it_does_anything(ci, tmp_path):
    for arguments, place in (
        (("--set", "prot=1"), "--set prot: there is no such setting"),
        (("--config", "absent.yaml"), "absent.yaml: the file of settings cannot be read"),
        (("--set", "port"), "number 1 is not KEY=VALUE"),
        (("--set", "port=1", "--set", "port=2"), "port is given twice"),
    ):
        done = ci("serve", *arguments)
        assert done.returncode == 2
        assert place in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_flags_of_the_server_are_not_the_clients(ci):
    assert ci("config", "show", "--set", "port=1").returncode == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_has_the_settings_of_file_variable_and_flag(servers, namespace, tmp_path, workers):
    """Every worker has them, also one that starts after the file was edited."""
    file, secret, project = tmp_path / "server.yaml", tmp_path / "job_env", tmp_path / "project"
    secret.write_text("TOKEN=hunter2\n")
    file.write_text(f"max_upload_bytes: 1000\njob_env_file: {secret}\n")
    server = servers(namespace, executor="local", workers=workers, max_upload_bytes="2000")
    server.settings["CI_CONFIG"] = str(file)
    server.start()
    file.write_text("max_upload_bytes: broken\n")
    if workers > 1:
        replace_workers(server)
    project.mkdir()
    (project / "ci.toml").write_text("install = []\ncommand = 'echo token $TOKEN'\n")
    assert "token hunter2" in submit(server, project).stdout
    (project / "large").write_bytes(os.urandom(3000))
    assert "2000 bytes" in submit(server, project).stderr


def submit(server, project):
    return subprocess.run(
        [CI, "submit", str(project)], env=server.environment() | {"CI_CONFIG": "/dev/null"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def replace_workers(server):
    old = set(workers_of(server))
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(workers_of(server)) - old) == 2, what="new workers")
    eventually(server.answers, what="a new worker answers")


def workers_of(server):
    lines = {pid: Path(f"/proc/{pid}/cmdline") for pid in children(server.process.pid)}
    return [
        pid for pid, line in lines.items() if line.exists() and b"spawn_main" in line.read_bytes()
    ]
