"""The measure of the load tests: what grows is seen, and what is bounded cannot grow."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.memory import MIB, Growth, Meter

OBEDIENT = """
import sys
kept = []
for line in sys.stdin:
    what, size = line.split()
    try:
        taken = b"x" * int(size)
        if what == "keep":
            kept.append(taken)
        del taken
    except MemoryError:
        print("no", flush=True)
    else:
        print("done", flush=True)
"""
"""Takes memory when it is told to: ``keep 100`` or ``touch 100`` on its input."""


class Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.meter = Meter(process.pid)

    def told(self, what: str, size: int) -> str:
        self._process.stdin.write(f"{what} {size}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def child():
    command = [sys.executable, "-c", OBEDIENT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        made = Child(process)
        made.told("touch", 1)
        yield made
        process.stdin.close()


@pytest.mark.parametrize(
    ("what", "kept"), [pytest.param("keep", True, id="kept"), pytest.param("touch", False)]
)
def test_growth_is_seen(what, kept):
    with child() as process, process.meter.growth() as grown:
        assert process.told(what, 32 * MIB) == "done"
    assert 31 * MIB < grown.peak < 36 * MIB
    assert (grown.kept > 31 * MIB) is kept


def test_what_was_before_does_not_count():
    with child() as process:
        process.told("touch", 64 * MIB)
        with process.meter.growth() as grown:
            process.told("keep", 8 * MIB)
    assert 7 * MIB < grown.peak < 12 * MIB


def test_what_is_bounded_cannot_grow():
    with child() as process:
        process.meter.bound(16 * MIB)
        assert process.told("keep", 32 * MIB) == "no"
        assert process.told("keep", 8 * MIB) == "done"


def test_figures_can_be_read():
    assert str(Growth(3 * MIB, MIB // 2)) == "3.0 MiB at the peak, 0.5 kept"
