"""A thousand readers of one job: whether all get everything, how late, and at what cost."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from bench.context import Context
from bench.crowd import STAMP
from bench.http_stream import run_job, submit
from bench.measure import KILOBYTES, Comparison, Series, Target, announce
from bench.process import resident_bytes
from bench.projects import script_project
from bench.server import BenchServer, running_server

_READERS = 1000
_SECONDS = 15
"""How long the job writes; the readers come during the first of them."""

_PAUSE = 0.01
_LOOK_EVERY = 0.2
_MOST_RUNS = 3
"""Each run takes a server of its own: memory once taken is kept by an allocator."""


def _script(lines: int) -> str:
    # Paced by the clock, so that what a sleep takes too long is not lost from the rate.
    return f"""
import sys, time
begin = time.monotonic()
for number in range({lines}):
    time.sleep(max(0, begin + number * {_PAUSE} - time.monotonic()))
    sys.stdout.write("{STAMP}%d\\n" % time.time_ns())
    sys.stdout.flush()
"""


@dataclass(frozen=True)
class _Crowd:
    """What came of some readers: delays in seconds, and the most bytes the server grew by."""

    delays: tuple[float, ...]
    growth: int


def thousand_readers(context: Context) -> list[Comparison]:
    """Measure delays beside those of a single reader, and memory with and without readers."""
    runs = min(context.pairs, _MOST_RUNS)
    announce(f"{_READERS} readers of one job")
    pairs = [(_watch(context, _READERS), _watch(context, 1)) for _ in range(runs)]
    many, one = zip(*pairs, strict=True)
    rate = f"{round(1 / _PAUSE)} lines a second"
    return [
        Comparison(
            f"a line to {_READERS:,} readers, {rate}",
            (
                Series(f"{_READERS:,} SSE readers", tuple(each.delays for each in many)),
                Series("1 SSE reader", tuple(each.delays for each in one)),
            ),
            (Target("p95", 0.5),),
        ),
        Comparison(
            "server memory per reader",
            (Series("SSE reader", tuple((each.growth / _READERS,) for each in many)),),
            (Target("p50", 40_000),),
            quantity=KILOBYTES,
        ),
    ]


def _watch(context: Context, count: int) -> _Crowd:
    with running_server(context.folder, context.image) as server:
        # What the first reader of all makes the server load is not the price of one more.
        run_job(server.url, script_project(_script(10)))
        server.settle()
        job_id = submit(server.url, script_project(_script(round(_SECONDS / _PAUSE))))
        before = resident_bytes(server.pid)
        found, most = _read(server, job_id, count, context.folder / "crowd.json")
        _check(server, job_id, found)
        return _Crowd(tuple(found["delays"]), most - before)


def _read(server: BenchServer, job_id: str, count: int, target: Path) -> tuple[dict[str, Any], int]:
    """Read the job with a crowd; return its summary and the server's largest size meanwhile."""
    host, port = server.url.removeprefix("http://").split(":")
    command = [sys.executable, "-m", "bench.crowd", host, port, job_id, str(count), str(target)]
    most = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crowd:
        try:
            if crowd.stdout is None or crowd.stdout.readline() != "connected\n":
                raise RuntimeError("the readers could not connect")
            while crowd.poll() is None:
                most = max(most, resident_bytes(server.pid))
                Event().wait(_LOOK_EVERY)
        finally:
            crowd.kill()
    if crowd.returncode:
        raise RuntimeError("the readers failed")
    return json.loads(target.read_text()), most


def _check(server: BenchServer, job_id: str, found: dict[str, Any]) -> None:
    log = (server.data / "logs" / f"{job_id}.log").read_text()
    if found["logs"] != 1 or found["log"] != log:
        raise RuntimeError(f"the readers did not all get the log: {found['logs']} versions of it")
