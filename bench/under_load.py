"""How fast a job's state is told while many jobs run and very many streams are open."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from bench.context import Context
from bench.http_stream import submit
from bench.measure import Comparison, Series, Target, announce
from bench.projects import recipe, zipped
from bench.server import BenchServer, running_server

_JOBS = 100
_STREAMS = 1000
_REQUESTS = 1000
_ROUNDS = 3
_PACE = 0.01
"""Seconds between two requests: a hundred a second."""

_LOOK_EVERY = 0.2
_PATIENCE = 300.0
"""Seconds in which all jobs have to run."""

_SCRIPT = "i=0; while [ $i -lt 900 ]; do echo line $i; i=$((i+1)); sleep 1; done"
"""Each writes a line a second, which ten streams of it are told."""


def lookups_under_load(context: Context) -> list[Comparison]:
    """Ask for one job after the other, with containers running and streams open."""
    announce(f"GET /jobs/{{id}} with {_JOBS} jobs running and {_STREAMS} streams open")
    # Each job's container is a real one; small ones, for there are many.
    settings = {
        "CI_MAX_RUNNING": str(_JOBS),
        "CI_JOB_MEMORY": "32m",
        "CI_JOB_CPUS": "0.5",
        "CI_STANDBY_SIZE": "0",
    }
    with running_server(context.folder, context.image, **settings) as server:
        alone = _rounds(server, [submit(server.url, _project("exit 0"))])
        job_ids = _start_jobs(server)
        with _streams(server, job_ids):
            loaded = _rounds(server, job_ids)
            if _running(server) < _JOBS:
                raise RuntimeError("a job ended while it was measured")
    return [
        Comparison(
            f"GET /jobs/{{id}} with {_JOBS} jobs running and {_STREAMS} streams open",
            (Series("under load", loaded), Series("alone", alone)),
            (Target("p99", 0.1),),
        )
    ]


def _project(script: str) -> bytes:
    # In sh: a hundred Pythons would be most of the machine's load.
    return zipped({"ci.toml": recipe(["sh", "main.sh"]), "main.sh": script})


def _start_jobs(server: BenchServer) -> list[str]:
    archive = _project(_SCRIPT)
    job_ids = [submit(server.url, archive) for _ in range(_JOBS)]
    deadline = time.monotonic() + _PATIENCE
    while _running(server) < _JOBS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {_running(server)} of {_JOBS} jobs run")
        Event().wait(_LOOK_EVERY)
    return job_ids


def _running(server: BenchServer) -> int:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.request("GET", "/ready")
    found = json.loads(connection.getresponse().read())
    connection.close()
    return int(found["running"])


@contextmanager
def _streams(server: BenchServer, job_ids: list[str]) -> Iterator[None]:
    """Have as many streams open of each job, in a process of their own."""
    host, port = server.url.removeprefix("http://").split(":")
    command = [sys.executable, "-m", "bench.open_streams", host, port, str(_STREAMS), *job_ids]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as readers:
        try:
            if readers.stdout is None or readers.stdout.readline() != "connected\n":
                raise RuntimeError("the readers could not connect")
            yield
            if readers.poll() is not None:
                raise RuntimeError("the readers ended while it was measured")
        finally:
            readers.kill()


def _rounds(server: BenchServer, job_ids: list[str]) -> tuple[tuple[float, ...], ...]:
    return tuple(_round(server, job_ids) for _ in range(_ROUNDS))


def _round(server: BenchServer, job_ids: list[str]) -> tuple[float, ...]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    took = []
    for number in range(_REQUESTS // _ROUNDS):
        begin = time.perf_counter()
        connection.request("GET", f"/jobs/{job_ids[number % len(job_ids)]}")
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - begin)
        if answer.status != 200:
            raise RuntimeError(f"the server answers {answer.status}")
        Event().wait(_PACE)
    connection.close()
    return tuple(took)
