"""300 MB of output: how long until one reader has all of it."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial

from bench.context import Context
from bench.engine import bare_container
from bench.http_stream import read_stream, submit
from bench.measure import Comparison, Side, Target, compare
from bench.projects import script_project
from bench.server import BenchServer, running_server

_MEGABYTES = 300
_FEW = 2
_READ_SIZE = 1024 * 1024
_BYTES = _MEGABYTES * 1_000_000

# The first line says when the writing began, so that nobody's start-up is in the figure. It is
# written at once: `print` writes in pieces where PYTHONUNBUFFERED is set, as it is in jobs.
_SCRIPT = f"""
import sys, time
block = (b"x" * 99 + b"\\n") * 10_000
sys.stdout.write("began %d\\n" % time.time_ns())
sys.stdout.flush()
for _ in range({_MEGABYTES}):
    sys.stdout.buffer.write(block)
sys.stdout.buffer.flush()
"""

_BEGAN = re.compile(rb"began (\d+)")
_OFFSET = re.compile(rb"id: (\d+)")


def log_volume(context: Context) -> list[Comparison]:
    """Compare an SSE reader with a bare attach reader, both counting bytes and decoding none.

    Apart from that, as it is much slower, with ``docker logs -f``.
    """
    with running_server(context.folder, context.image) as server:
        ours = Side("GET /jobs/ID/stream", partial(_our_reader, server, script_project(_SCRIPT)))
        attach = Side("SDK: attach", partial(_bare_reader, server, context.image))
        follow = Side("docker logs -f", partial(_following_reader, server, context.image))
        rate = partial(compare, amount=_MEGABYTES, unit="MB")
        name = f"{_MEGABYTES} MB of log to one reader"
        few = min(context.pairs, _FEW)
        return [
            rate(name, [ours, attach], pairs=context.pairs, targets=(Target("ratio", 0.9),)),
            rate(f"{name}, by the command line", [ours, follow], pairs=few),
        ]


def _our_reader(server: BenchServer, archive: bytes) -> tuple[float]:
    server.settle()
    job_id = submit(server.url, archive)
    head, tail, ended = read_stream(server.url, job_id)
    if b'"complete"' not in tail or int(_OFFSET.findall(tail)[-1]) < _BYTES:
        raise RuntimeError(f"the stream did not bring everything; it ends in {tail!r}")
    # Else the runs of a long benchmark fill the disk.
    (server.data / "logs" / f"{job_id}.log").unlink()
    return (_seconds_since_start(head, ended),)


def _bare_reader(server: BenchServer, image: str) -> tuple[float]:
    server.settle()
    command = ["python3", "-c", _SCRIPT]
    bare = bare_container(image, command, limited=True)
    with bare as container, container.attached() as output:
        container.start()
        head, size = _drain(output)
        ended = time.time_ns()
    if size < _BYTES:
        raise RuntimeError(f"the bare reader has {size} bytes")
    return (_seconds_since_start(head, ended),)


def _following_reader(server: BenchServer, image: str) -> tuple[float]:
    server.settle()
    with bare_container(image, ["python3", "-c", _SCRIPT], limited=True) as container:
        container.start()
        command = ["docker", "logs", "-f", container.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as following:
            output = following.stdout.fileno() if following.stdout else -1
            head, size = _read(lambda: os.read(output, _READ_SIZE))
            ended = time.time_ns()
    if size < _BYTES:
        raise RuntimeError(f"docker logs -f brought {size} bytes")
    return (_seconds_since_start(head, ended),)


def _drain(connection: socket.socket) -> tuple[bytes, int]:
    """Read to the end; return the first bytes and how many there were, with frame headers."""
    return _read(lambda: connection.recv(_READ_SIZE))


def _read(read: Callable[[], bytes]) -> tuple[bytes, int]:
    head, size = b"", 0
    while data := read():
        head = head or data
        size += len(data)
    return head, size


def _seconds_since_start(head: bytes, ended: int) -> float:
    found = _BEGAN.search(head)
    if found is None:
        raise RuntimeError(f"the output does not say when it began: {head[:200]!r}")
    return (ended - int(found[1])) / 1e9
