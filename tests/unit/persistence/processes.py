"""Python programs as children, for what only a process of its own can show."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def start_python(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run ``program`` with pipes for the length of a ``with`` block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def run_python(program: str, *arguments: object) -> tuple[int, str]:
    """Run ``program`` to its end; return its exit code (minus the signal) and output."""
    with start_python(program, *arguments) as child:
        output, _ = child.communicate(timeout=60)
    return child.returncode, output
