"""Ports for servers of tests."""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator


def _ports() -> Iterator[int]:
    """Yield ports that neither another worker's tests nor anybody's outgoing connection takes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 12_000 + 1_000 * (worker % 20)
    # Runs side by side begin elsewhere.
    start = os.getpid() % 1_000
    return itertools.cycle((*range(first + start, first + 1_000), *range(first, first + start)))


_PORTS = _ports()


def free_port() -> int:
    """Return a port nobody listens on, below those that the system gives away by itself."""
    for port in itertools.islice(_PORTS, 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port of this worker is taken")
