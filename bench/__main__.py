"""Print each benchmark with both of its sides and their ratio."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.submissions import durable_submissions
from bench.submit import submit_against_docker_run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="runs of each side (default 20)")
    arguments = parser.parse_args()
    image = os.environ.get("CI_DEFAULT_IMAGE")
    if not image:
        print("CI_DEFAULT_IMAGE names no image: run `make bench`, which sets it.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="standby-ci-bench-") as folder:
        print(submit_against_docker_run(Path(folder), image, arguments.pairs).report())
        print(durable_submissions(Path(folder), arguments.pairs).report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
