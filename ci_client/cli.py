"""The entry point of ``ci``."""

import gc
import sys

_COLLECT_AFTER = 50_000
"""New objects between two looks for garbage; the imports alone make tens of thousands."""


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(_COLLECT_AFTER)
    try:
        from ci_client.group import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # even while the first modules are being read
        code = 130
    # The process is about to go, and all its memory with it: looking through
    # the modules for garbage first takes longer than reading the answer did.
    gc.freeze()
    sys.exit(code)
