"""`ci list` and `ci queue` as processes, and the functions of the client, on a real server."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from ci_client.api import CIClient
from ci_client.client import get_queue, list_jobs
from ci_common.errors import InvalidRequest
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.listed_jobs import JOBS, NOW, make, make_all

PATIENCE = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("listing"), max_running="1") as running:
        make_all(running)
        yield running


def command(server: RunningServer, *words: str) -> list[str]:
    return [sys.executable, "-m", "ci_client", "--server", server.url, *words]


def ci(server: RunningServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(server, *words), capture_output=True, text=True, timeout=PATIENCE)


def names(jobs: list[dict[str, Any]]) -> str:
    return " ".join(job["job_id"].partition("-")[0] for job in jobs)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "queued", "--status", "running"], "next busy"),
        (["--no-success", "--sort", "created"], "bad sick"),
        (["--success"], "old"),
        (["--reason", "failed", "--project", "shop", "--submitter", "ann"], "bad"),
        (["--label", "branch", "--label", "cron"], "sick"),
        (["--label", "branch=main", "--since", "2h"], "next"),
        (["--group", "g", "--until", "1d"], "bad"),
        (["--text", "100%", "--all"], "next"),
        (["--limit", "2"], "next busy"),
    ],
)
def test_the_command_line_lists_what_is_asked_for(server, words, expected):
    listed = ci(server, "list", "--json", *words)
    assert listed.returncode == 0, listed.stderr
    assert names([json.loads(line) for line in listed.stdout.splitlines()]) == expected


def test_what_the_server_refuses_is_a_usage_error_with_the_way_out(server):
    refused = ci(server, "list", "--since", "yesterday")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "since: 'yesterday' is not a time" in refused.stderr
    assert "2h" in refused.stderr
    assert ci(server, "list", "--all", "--limit", "3").returncode == 2
    nothing = ci(server, "list", "--project", "none")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no job fits" in nothing.stderr


def test_all_follows_every_page(server):
    with_all = ci(server, "list", "--all", "--json").stdout.splitlines()
    assert len(with_all) == len(JOBS)


def test_the_functions_take_the_same_filters(server):
    def found(**filters: Any) -> str:
        return names(list_jobs(server_url=server.url, **filters))

    assert found() == "next busy sick bad old"
    assert found(limit=None, status=["queued", "running"]) == "next busy"
    assert found(label={"branch": "main"}, until=NOW.wall - timedelta(hours=2)) == "old"
    assert found(label={"branch": None}, success=False) == "sick"
    assert found(sort="-duration", limit=1) == "old"
    assert found(text="SHOP", submitter=None) == "next bad old"
    with pytest.raises(TypeError, match="statsu"):
        found(statsu="queued")
    with pytest.raises(InvalidRequest, match="sort"):
        found(sort="size")


async def test_they_do_for_asyncio_too(server):
    async with CIClient(server.url) as client:
        assert names(await client.jobs(2, sort="created")) == "old bad"
        assert (await client.queue())["counts"]["queued"] == 1


def test_the_queue_is_shown_with_what_is_expected(server):
    shown = ci(server, "queue")
    assert shown.returncode == 0
    header, busy, following = shown.stdout.splitlines()
    assert header.split() == ["TURN", "JOB", "PROJECT", "SINCE", "EXPECTED"]
    assert busy.split()[:3] == ["runs", "busy-02", "web"]
    assert "ends " in busy
    assert following.split()[:3] == ["#1", "next-01", "100%_shop"]
    assert "starts " in following
    assert "1 queued, 1 running, room for 1" in shown.stderr
    queue = json.loads(ci(server, "queue", "--json").stdout)
    assert [job["position"] for job in queue["queued"]] == [1]
    assert "starts " in ci(server, "status", "next-01").stdout


def test_a_long_queue_is_read_in_pages(tmp_path):
    with running_server(tmp_path) as server:
        for n in range(3):
            server.call(make(server, f"job{n}", 0, None, "queued", {}))
        assert len(get_queue(server_url=server.url, limit=2)["queued"]) == 2
        assert len(get_queue(server_url=server.url, limit=None)["queued"]) == 3


@contextmanager
def watching(server: RunningServer, *words: str, **options: Any) -> Iterator[Any]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    with subprocess.Popen(command(server, *words), text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class TestWatch:
    @pytest.fixture
    def server(self, tmp_path) -> Iterator[RunningServer]:
        with running_server(tmp_path, max_running="1") as running:
            yield running

    def test_each_change_is_a_line(self, server):
        first = server.submit()
        with (
            watching(server, "list", "--watch", "--json", "--status", "queued") as as_json,
            watching(server, "list", "--watch") as as_text,
            watching(server, "queue", "--watch") as of_queue,
        ):

            def told() -> tuple[str, str, str]:
                line = json.loads(as_json.stdout.readline())
                return line["change"], line["job"]["job_id"], line["job"]["status"]

            assert told() == ("added", first, "queued")
            assert as_text.stdout.readline().split()[:2] == [first, "queued"]
            assert "1 queued, 0 running" in of_queue.stdout.readline()
            job = server.claim(server.job(first).id)
            # It is no queued job any more; what has become of it is told.
            assert told() == ("left", first, "running")
            assert as_text.stdout.readline().split()[:2] == [first, "running"]
            now = f"0 queued, 1 running, room for 1; running: {first}"
            assert any(now in line for line in of_queue.stdout)
            server.finish(job)
            second = server.submit()
            assert told() == ("added", second, "queued")
            lines = {as_text.stdout.readline() for _ in range(2)}
            assert {line.split()[0] for line in lines} == {first, second}
            for process in (as_json, as_text, of_queue):
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=PATIENCE)
                assert process.returncode == 130
                assert "no job is affected" in err

    def test_a_terminal_is_drawn_again_in_place(self, server):
        first = server.submit()
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        try:
            with watching(server, "list", "-w", stdout=theirs, env=environment) as process:
                assert "queued" in read_until(ours, first[:8])
                server.claim(first)
                drawn = read_until(ours, "running")
                # Up over the header and the one job, which are wiped out.
                assert "\x1b[2A\r\x1b[J" in drawn
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=PATIENCE)
                assert process.returncode == 130
        finally:
            os.close(ours)
            os.close(theirs)


def read_until(terminal: int, text: str) -> str:
    """What a terminal shows, up to the end of the piece that has ``text`` in it."""
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 65536).decode()
    return shown
