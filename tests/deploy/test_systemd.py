"""The unit file, as far as it can be judged without systemd; and what systemd is told."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.deploy.conftest import tool
from tests.deploy.front import DEPLOY
from tests.e2e.harness import CI, Server
from tests.ports import free_port

UNIT = DEPLOY / "systemd" / "standby-ci.service"


@pytest.fixture
def analyze() -> str:
    return tool("systemd-analyze", "systemd")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    copy = tmp_path / UNIT.name
    text, count = re.subn(r"/opt/standby-ci/bin/ci", CI, UNIT.read_text())
    assert count
    copy.write_text(text)
    return copy


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_understands_every_line_of_the_unit(analyze: str, unit: Path) -> None:
    done = run(analyze, "verify", "--man=no", unit)
    # Of other units on the machine it complains too.
    about_ours = [line for line in done.stderr.splitlines() if UNIT.stem in line]
    assert not about_ours, done.stderr


def test_the_unit_is_confined(analyze: str, unit: Path) -> None:
    done = run(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert done.returncode == 0, done.stdout


def test_the_services_user_can_be_made() -> None:
    sysusers = tool("systemd-sysusers", "systemd")
    done = run(sysusers, "--dry-run", DEPLOY / "systemd" / "standby-ci.sysusers")
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-sysusers has no --dry-run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("workers", "abstract"), [(1, False), (2, True)])
def test_the_service_manager_is_told_when_the_server_answers(
    workers: int, abstract: bool, tmp_path: Path
) -> None:
    """``Type=notify``: what waits for the service may ask it at once."""
    name = f"standby-ci-{os.getpid()}-{free_port()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        manager.settimeout(60)
        settings = {"CI_EXECUTOR": "local", "NOTIFY_SOCKET": "@" + name if abstract else name}
        server = Server(tmp_path, "told_", settings, workers)
        try:
            server.spawn()
            told = manager.recv(4096).decode()
            assert server.responds()
        finally:
            server.stop()
            print(server.log.read_text())
    assert told.splitlines()[0] == "READY=1"
    assert server.url in told


def test_the_unit_runs_under_systemd() -> None:
    if Path("/proc/1/comm").read_text().strip() != "systemd" or os.geteuid() != 0:
        pytest.skip("needs systemd as process 1, and root")
    assert shutil.which("systemd-run")
    wanted = [
        line
        for line in UNIT.read_text().splitlines()
        if re.match(r"(Protect|Private|Restrict|SystemCall|MemoryDeny|Lock|NoNew|UMask)", line)
    ]
    options = [f"--property={line}" for line in wanted]
    done = run(
        "systemd-run", "--wait", "--pipe", "--collect", "--property=DynamicUser=yes",
        *options, CI, "--version",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
