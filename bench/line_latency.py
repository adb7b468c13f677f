"""From a line's being written to its being read, at 100 lines a second."""

import subprocess
import time
from collections.abc import Iterable, Iterator
from functools import partial

from bench.context import Context
from bench.engine import bare_container, frames
from bench.http_stream import lines_of, run_job
from bench.measure import Comparison, Side, Target, compare
from bench.projects import script_project
from bench.server import BenchServer, running_server

_LINES = 200
_PAUSE = 0.01
_STAMP = "stamp "

# One write a line: `print` makes two of it where PYTHONUNBUFFERED is set, as it is in jobs.
_SCRIPT = f"""
import sys, time
for _ in range({_LINES}):
    sys.stdout.write("{_STAMP}%d\\n" % time.time_ns())
    sys.stdout.flush()
    time.sleep({_PAUSE})
"""


def line_latency(context: Context) -> Comparison:
    """Compare an SSE reader with an attach reader and with ``docker logs -f``."""
    with running_server(context.folder, context.image) as server:
        archive = script_project(_SCRIPT)
        bare = partial(_bare_lines, server, context.image)
        return compare(
            f"a line to its reader, {round(1 / _PAUSE)} lines a second",
            [
                Side("SSE reader", partial(_our_lines, server, archive)),
                Side("SDK: attach", partial(bare, attach=True)),
                Side("docker logs -f", partial(bare, attach=False)),
            ],
            pairs=context.pairs,
            targets=(Target("p50", 0.010), Target("p99", 0.060)),
        )


def _our_lines(server: BenchServer, archive: bytes) -> list[float]:
    server.settle()
    _, arrivals = run_job(server.url, archive)
    return _delays(lines_of(arrivals))


def _bare_lines(server: BenchServer, image: str, *, attach: bool) -> list[float]:
    server.settle()
    with bare_container(image, ["python3", "-c", _SCRIPT]) as container:
        if not attach:
            container.start()
            return _delays(_followed(container.id))
        with container.attached() as connection:
            container.start()
            return _delays(_lines(frames(connection)))


def _followed(container_id: str) -> Iterator[tuple[int, str]]:
    command = ["docker", "logs", "-f", container_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        for line in following.stdout or ():
            yield time.time_ns(), line


def _lines(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    pending = ""
    for at, data in pieces:
        *whole, pending = (pending + data.decode()).split("\n")
        for line in whole:
            yield at, line


def _delays(lines: Iterable[tuple[int, str]]) -> list[float]:
    """Return the seconds each stamped line took."""
    delays = [
        (at - int(line.removeprefix(_STAMP))) / 1e9 for at, line in lines if line.startswith(_STAMP)
    ]
    if len(delays) != _LINES:
        raise RuntimeError(f"{len(delays)} lines came of {_LINES}")
    return delays
