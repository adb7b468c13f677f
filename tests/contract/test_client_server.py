"""The client and the server, as they really are, with jobs as local processes."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ci_client.client import (
    get_job,
    list_jobs,
    submit_tests_async,
    submit_tests_streaming,
    wait_for_job,
)
from ci_client.commands.run import _server
from ci_common.errors import InvalidRecipe, JobNotFound


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("data")
    overrides = {
        "CI_DATA_DIR": str(folder),
        "CI_DB_PATH": str(folder / "ci_jobs.db"),
        "CI_EXECUTOR": "local",
        "CI_LOG_LEVEL": "error",
    }
    with _server(overrides) as url:
        yield url


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose test needs what must survive the trip: bits, links, names."""
    (tmp_path / "check.sh").write_text('#!/bin/sh\ncat link "näme with space"\nexit "$CODE"\n')
    (tmp_path / "check.sh").chmod(0o755)
    (tmp_path / "real").write_text("through the link\n")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "näme with space").write_text("größe\n")
    configure(tmp_path, 0)
    return tmp_path


def configure(project: Path, code: int, before: str = "true") -> None:
    (project / "ci.toml").write_text(
        f'install = []\ncommand = "{before}; ./check.sh"\nenv = {{ CODE = "{code}" }}\n'
    )


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "log")


@pytest.mark.parametrize(("code", "reason"), [(0, "passed"), (3, "failed")])
def test_a_submission_from_the_zip_to_the_verdict(
    server_url: str, project: Path, code: int, reason: str
) -> None:
    configure(project, code)
    events = list(submit_tests_streaming(project, server_url=server_url))
    assert events[0]["type"] == "job_id"
    assert "through the link\ngröße\n" in text_of(events)
    assert events[-1] == {
        "type": "complete",
        "success": code == 0,
        "exit_code": code,
        "reason": reason,
        "detail": None,
    }
    job = get_job(events[0]["job_id"], server_url=server_url)
    assert (job["status"], job["success"], job["project"]) == ("completed", code == 0, project.name)


def test_a_job_submitted_and_left_can_be_followed_and_replayed(
    server_url: str, project: Path
) -> None:
    job_id = submit_tests_async(project, server_url=server_url)
    assert list(wait_for_job(job_id, server_url=server_url))[-1]["success"] is True
    replay = list(wait_for_job("last", server_url=server_url, from_beginning=True))
    assert "größe" in text_of(replay)
    assert list_jobs(server_url=server_url)[0]["job_id"] == job_id


def test_leaving_a_stream_leaves_the_job_running(server_url: str, project: Path) -> None:
    gate = project.parent / f"{project.name}-gate"
    configure(project, 0, before=f"until test -e {gate}; do sleep 0.05; done")
    with closing(submit_tests_streaming(project, server_url=server_url)) as events:
        job_id = next(events)["job_id"]
    gate.touch()
    assert list(wait_for_job(job_id[:13], server_url=server_url))[-1]["success"] is True


def test_refusals_come_out_as_the_servers_own_errors(server_url: str, project: Path) -> None:
    (project / "ci.toml").write_text("nonsense = 1\n")
    with pytest.raises(InvalidRecipe, match="nonsense"):
        submit_tests_async(project, server_url=server_url)
    with pytest.raises(JobNotFound):
        get_job("zzz", server_url=server_url)


def test_the_command_line_does_it_too(server_url: str, project: Path) -> None:
    def ci(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ci_client", "--server", server_url, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )

    submitted = ci("submit", str(project), "--passthrough-exit", "--", "sh", "-c", "echo; exit 9")
    assert submitted.returncode == 9
    assert "failed (exit code 9)" in submitted.stderr
    job_id = ci("submit", "--async", str(project)).stdout.strip()
    waited = ci("wait", job_id, "--all")
    assert waited.returncode == 0
    assert "größe" in waited.stdout
    logged = ci("logs", job_id)
    assert logged.stdout == waited.stdout
    assert ci("logs", "last", "--tail", "1", "--follow").stdout == "größe\n"
    assert job_id in ci("status", job_id[:8]).stdout
    assert job_id[:8] in ci("list", "--limit", "1").stdout


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


def test_run_needs_no_server_and_leaves_nothing(project: Path, temporary: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ci_client", "run", str(project)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "CI_EXECUTOR": "local", "TMPDIR": str(temporary)},
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr
    assert "größe" in ran.stdout
    assert "✓ passed" in ran.stderr
    assert "NO CONTAINER ENGINE" in ran.stderr
    assert list(temporary.iterdir()) == []
