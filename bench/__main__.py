"""Print each benchmark with both of its sides and their ratio."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import docker

from bench.context import Context
from bench.dependencies import unchanged_dependencies
from bench.engine import LABEL
from bench.first_byte import first_byte
from bench.instead import what_else_there_is
from bench.job_end import job_end
from bench.job_rate import job_rate
from bench.line_latency import line_latency
from bench.log_volume import log_volume
from bench.measure import Comparison, table
from bench.server import remove_all
from bench.submissions import durable_submissions
from bench.submit import submit_against_docker_run

Benchmark = Callable[[Context], Comparison | Sequence[Comparison]]

BENCHMARKS: dict[str, tuple[str, Benchmark]] = {
    "submit": ("ci submit of a hello project against docker run", submit_against_docker_run),
    "first-byte": ("last upload byte to first log byte", first_byte),
    "end": ("end of the process to the client's verdict", job_end),
    "jobs": ("eight jobs at once against eight bare containers", job_rate),
    "streams": ("300 MB of log to one reader", log_volume),
    "lines": ("a line's way from the job to its reader", line_latency),
    "dependencies": ("the dependency step when nothing changed", unchanged_dependencies),
    "submissions": ("durable submissions against bare commits", durable_submissions),
    "instead": ("gitlab-ci-local and Buildbot's try, installed for it", what_else_there_is),
}


def main() -> int:
    """Run the benchmarks that were asked for, and leave nothing behind."""
    arguments = _arguments()
    if arguments.list:
        for name, (about, _) in BENCHMARKS.items():
            print(f"{name:<14} {about}")
        return 0
    image = os.environ.get("CI_DEFAULT_IMAGE")
    if not image:
        print("CI_DEFAULT_IMAGE names no image: run `make bench`, which sets it.", file=sys.stderr)
        return 2
    # What is stopped from outside must clear up as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done: list[Comparison] = []
    status = 0
    try:
        for name in arguments.names or BENCHMARKS:
            with tempfile.TemporaryDirectory(prefix="standby-ci-bench-") as folder:
                found = _run(name, Context(Path(folder), image, arguments.pairs))
            done += found
            status = status if found else 1
    except KeyboardInterrupt:
        status = 130
    finally:
        remove_all(LABEL)
        if arguments.json:
            arguments.json.write_text(json.dumps(_everything(done, image), indent=1))
    print(table(done))
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--pairs", type=int, default=20, help="runs of each side (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown or arguments.pairs < 1:
        parser.error(f"no benchmark {unknown[0]!r}: see --list" if unknown else "--pairs from 1 up")
    return arguments


def _run(name: str, context: Context) -> list[Comparison]:
    """Run one benchmark and print it; nothing comes of one that fails, and the others go on."""
    try:
        found = BENCHMARKS[name][1](context)
    except RuntimeError as error:
        print(f"{name} failed: {error}\n", file=sys.stderr)
        return []
    comparisons = [found] if isinstance(found, Comparison) else list(found)
    for each in comparisons:
        print(f"{each.report()}\n", flush=True)
    return comparisons


def _everything(done: Sequence[Comparison], image: str) -> dict[str, object]:
    engine = docker.from_env()
    version = engine.version()["Version"]
    engine.close()
    return {
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "engine": version,
            "image": image,
            "load": os.getloadavg(),
        },
        "benchmarks": [each.raw() for each in done],
    }


if __name__ == "__main__":
    sys.exit(main())
