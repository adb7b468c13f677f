"""The entry point of ``ci``."""

import gc
import os
import sys

_COLLECT_AFTER = 50_000
"""New objects between two looks for garbage; the imports alone make thousands."""


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(_COLLECT_AFTER)
    try:
        from ci_client.dispatch import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # even while the first modules are being read
        code = 130
    _leave(code)


def _leave(code: int) -> None:
    """End the process without taking it apart first, which takes as long as a verdict.

    The client has no threads, its files are closed where they were opened, and
    nothing of it waits for ``atexit``. A server has all of these, so a process
    that had one in it ends in the usual way.
    """
    if "ci_server" in sys.modules:
        gc.freeze()  # the system takes the memory back faster than a search for garbage
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError):  # closed from the start, or by now; that was told
            continue
    os._exit(code)
