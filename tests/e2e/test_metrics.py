"""Metrics of a real server with real workers: the same from each, and never less."""

import os
import re
import signal
from pathlib import Path

import httpx2
import pytest

from tests.e2e.harness import children
from tests.promtool import promtool
from tests.waiting import eventually

SCRAPES = 12
"""Enough for both of two workers to answer some."""


@pytest.fixture
def workers(servers, namespace):
    return servers(namespace, workers=2, executor="local").start()


def scrape(server) -> str:
    """Return a page on which nobody is missing because the machine is busy."""

    def look() -> str | None:
        text = server.get("/metrics").raise_for_status().text
        return text if total(text, "standby_ci_workers_silent") == 0 else None

    return eventually(look, what="all workers answer")


def total(text: str, name: str, *labels: str) -> float:
    """The sum of the samples of that name with these labels."""
    lines = re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for found, value in lines if all(each in found for each in labels))


def numbers(text: str) -> set[str]:
    return set(re.findall(r'^standby_ci_leader{worker="(\d+)"}', text, re.MULTILINE))


def worker_pids(server) -> list[int]:
    return [pid for pid in children(server.process.pid) if b"spawn_main" in command_of(pid)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def test_any_worker_answers_for_all_and_a_death_takes_nothing_away(workers, project):
    made = project("echo hello")
    for _ in range(2):
        assert workers.ci("submit", str(made.path)).returncode == 0
    assert workers.ci("submit", str(project("exit 3").path)).returncode == 1
    eventually(lambda: numbers(scrape(workers)) == {"1", "2"}, what="both workers are told of")
    route = 'route="/version"'
    for count in range(SCRAPES):
        text = scrape(workers)
        assert numbers(text) == {"1", "2"}
        assert total(text, "standby_ci_leader") == 1
        assert total(text, "standby_ci_jobs_ended_total", 'reason="passed"') == 2
        assert total(text, "standby_ci_jobs_ended_total", 'reason="failed"') == 1
        assert total(text, "standby_ci_job_start_seconds_count") == 3
        assert total(text, "standby_ci_log_bytes_total") > 0
        assert total(text, "standby_ci_engine_call_duration_seconds_count", 'call="feed"') == 3
        # Whoever answered, of this route all of the requests so far are counted.
        assert total(text, "standby_ci_http_requests_total", route) == count
        workers.get("/version")
    assert promtool("check", "metrics", text=scrape(workers)) == ""

    os.kill(worker_pids(workers)[0], signal.SIGKILL)
    eventually(lambda: len(worker_pids(workers)) == 2, what="a new worker is there")

    def both_again() -> bool:
        try:
            text = scrape(workers)
        except httpx2.TransportError:
            return False
        return numbers(text) == {"1", "2"} and total(text, "standby_ci_leader") == 1

    eventually(both_again, what="the new worker has the number of the dead one")
    assert total(scrape(workers), "standby_ci_jobs_ended_total") == 3


def test_counts_of_jobs_survive_the_server_and_the_jobs(servers, namespace, project):
    server = servers(
        namespace, executor="local", keep_jobs_for="1ms", keep_at_least="0", orphan_grace="0"
    )
    server.start()
    job_id = server.ci("submit", "--async", str(project("echo hello").path)).stdout.decode().strip()
    name, passed = "standby_ci_jobs_ended_total", 'reason="passed"'
    eventually(lambda: total(scrape(server), name, passed) == 1, what="it is counted")
    server.kill()
    server.restart()
    eventually(lambda: server.get(f"/jobs/{job_id}").status_code == 404, what="it is removed")
    text = scrape(server)
    assert total(text, name, passed) == 1
    assert total(text, "standby_ci_job_duration_seconds_count") == 1


@pytest.mark.docker
def test_what_the_engine_and_the_pool_do_is_counted(server, project):
    """Of a real engine: a job finds a standby, one with limits of its own finds none."""
    hits, misses = ('outcome="hit"', 'outcome="miss"')
    asked = "standby_ci_standby_requests_total"
    eventually(
        lambda: total(scrape(server), "standby_ci_standby_containers", 'state="ready"') == 1,
        what="a standby waits",
    )
    assert server.ci("submit", str(project("echo hello").path)).returncode == 0
    text = scrape(server)
    assert (total(text, asked, hits), total(text, asked, misses)) == (1, 0)
    assert server.ci("submit", str(project("echo hello", memory="64m").path)).returncode == 0
    text = scrape(server)
    assert (total(text, asked, hits), total(text, asked, misses)) == (1, 1)
    calls = "standby_ci_engine_call_duration_seconds_count"
    for call in ("observe", "launch", "take_standby", "feed"):
        assert total(text, calls, f'call="{call}"', 'outcome="ok"') >= 1, call
    assert total(text, "standby_ci_engine_up") == 1
    assert total(text, "standby_ci_job_start_seconds_count") == 2
    assert promtool("check", "metrics", text=text) == ""
