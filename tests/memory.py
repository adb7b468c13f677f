"""What memory a process takes, as Linux counts it, and a bound that it cannot pass."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1024**2

_MEASURED = """
import os, sys
from pathlib import Path
from ci_client.cli import main
status, leave = Path(sys.argv.pop(1)), os._exit
def tell_and_leave(code):
    status.write_text(Path("/proc/self/status").read_text())
    leave(code)
os._exit = tell_and_leave
main()
"""
# Its own word in the end: what the kernel reports of a child counts its parent.

_FORGET_THE_PEAK = "5"
"""For ``clear_refs``: the peak begins anew with what the process has now."""


def peak_in(status: Path) -> int:
    """Return the most bytes a process has had in memory, from its ``status``."""
    return _figure(status, "VmHWM")


def measured_ci(status: Path, *arguments: str) -> list[str]:
    """Return a command that is ``ci`` with these arguments, and leaves its ``status`` in a file."""
    return [sys.executable, "-c", _MEASURED, str(status), *arguments]


@dataclass
class Growth:
    """By how many bytes a process grew.

    ``peak``: at its largest, over what it had before; ``kept``: at the end, of
    memory that is its own (no libraries, no page cache). ``top`` is all that it
    had at its largest: what one load is compared with another by, since memory
    that the one gave back is not growth when the other takes it again.
    """

    peak: int = 0
    kept: int = 0
    top: int = 0

    def __str__(self) -> str:
        return f"{self.peak / MIB:.1f} MiB at the peak, {self.kept / MIB:.1f} kept"


class Meter:
    """Looks at one process from outside."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._folder = Path(f"/proc/{pid}")

    @property
    def peak(self) -> int:
        """The most bytes it has had in memory since it began, or since ``growth`` was entered."""
        return peak_in(self._status)

    @contextmanager
    def growth(self) -> Iterator[Growth]:
        """Measure how it grows during a block. The figures are there when the block has ended."""
        grown = Growth()
        (self._folder / "clear_refs").write_text(_FORGET_THE_PEAK)
        before, own = _figure(self._status, "VmRSS"), _figure(self._status, "RssAnon")
        yield grown
        grown.top = self.peak
        grown.peak = grown.top - before
        grown.kept = _figure(self._status, "RssAnon") - own

    def bound(self, growth: int) -> None:
        """Let it have at most so many bytes more than it has: whatever needs more fails.

        What it has counts as address space, which holds 8 MiB for each thread's stack.
        """
        _, hard = resource.prlimit(self._pid, resource.RLIMIT_DATA)
        limit = _figure(self._status, "VmData") + growth
        resource.prlimit(self._pid, resource.RLIMIT_DATA, (limit, hard))

    @property
    def _status(self) -> Path:
        return self._folder / "status"


def _figure(status: Path, name: str) -> int:
    for line in status.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name} in {status}")
