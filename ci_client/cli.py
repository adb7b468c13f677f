"""The entry point of ``ci``."""

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        from ci_client.group import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # even while the first modules are being read
        code = 130
    sys.exit(code)
