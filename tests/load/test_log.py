"""A long log through a real container, the server and the command line."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.load.jobs import configuration, prelude
from tests.memory import MIB, Meter, measured_ci, peak_in

pytestmark = pytest.mark.docker

LINE = 64
"""Bytes of each line, which is its number."""

BLOCK = 1000
"""Lines that the job writes at once."""

ROOM = 24 * MIB
"""Bytes that a process may grow by more for a long log than for a short one.

Its buffers hold 64 KiB to 256 KiB each; with what the allocator keeps of them a
few MB were seen. The shorter of the long logs has 64 MB.
"""

BOUND = 256 * MIB
"""Address space that the server may take for it: to hold a quarter of the log is fatal."""

SCRIPT = f"""
import sys
for first in range(0, int(sys.argv[1]), {BLOCK}):
    sys.stdout.write("".join("%0{LINE - 1}d\\n" % n for n in range(first, first + {BLOCK})))
"""


def log_of(lines: int) -> Iterator[bytes]:
    """Yield the log of a job that writes so many lines."""
    yield prelude(f"python3 main.py {lines}").encode()
    for first in range(0, lines, BLOCK):
        yield "".join(f"{n:0{LINE - 1}d}\n" for n in range(first, first + BLOCK)).encode()


def first_difference(stream, expected: Iterator[bytes]) -> int | None:
    """Return where a stream is not ``expected``, None if it is; reads it to its end."""
    offset = 0
    for block in expected:
        came = stream.read(len(block))
        if came != block:
            pairs = enumerate(zip(came, block, strict=False))
            inside = next((at for at, (a, b) in pairs if a != b), len(came))
            while stream.read(MIB):
                pass
            return offset + inside
        offset += len(block)
    return None if not stream.read(1) else offset


class Client:
    """Runs ``ci`` commands that show a log of so many lines, and compares every byte."""

    def __init__(self, server, tmp_path, lines: int) -> None:
        self._server = server
        self._status = tmp_path / "status"
        self._lines = lines

    def peak(self, *arguments: str) -> int:
        """Run a command; return the most bytes it had in memory."""
        command = measured_ci(self._status, *arguments)
        # So that no library makes up for writes that a signal has cut short.
        environment = self._server.environment() | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as client:
            assert first_difference(client.stdout, log_of(self._lines)) is None, arguments
        assert client.returncode == 0
        return peak_in(self._status)

    def peaks(self, folder) -> dict[str, int]:
        """Submit a folder, and show its log in every way; return the peaks by command."""
        return {
            "submit": self.peak("submit", str(folder)),
            "logs": self.peak("logs", "last"),
            "wait --all": self.peak("wait", "--all", "last"),
        }


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(1_000_000, id="64 MB"),
        pytest.param(15_625_000, id="1 GB", marks=pytest.mark.soak),
    ],
)
def test_a_long_log(servers, engine, namespace, project, tmp_path, lines):
    """Fault 32. Followed, read at once, and replayed: all bytes, and nobody grows by them."""
    server = servers(namespace, executor="docker").start()
    meter = Meter(server.process.pid)

    def run(count: int) -> dict[str, int]:
        files = {"ci.toml": configuration(f"python3 main.py {count}"), "main.py": SCRIPT}
        return Client(server, tmp_path, count).peaks(project().write(files).path)

    run(16 * BLOCK)
    with meter.growth() as small:
        before = run(16 * BLOCK)
    meter.bound(BOUND)
    with meter.growth() as large:
        after = run(lines)
    job = server.job("last")
    assert (job["reason"], job["attempt"]) == ("passed", 1)
    size = (server.folder / "logs" / f"{job['job_id']}.log").stat().st_size
    assert size == lines * LINE + len(next(log_of(lines)))
    by_command = ", ".join(f"{name} {(after[name] - before[name]) / MIB:.1f}" for name in after)
    print(f"\na log of {size / 1e6:,.0f} MB: the server grew by {large} (1 MB: {small})")
    print(f"clients' peaks in MiB beyond those with 1 MB: {by_command}")
    assert large.top - small.top < ROOM
    assert all(after[name] - before[name] < ROOM for name in after)
