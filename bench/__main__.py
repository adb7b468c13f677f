"""Print each benchmark with all of its sides, and write the figures into docs/performance.md."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.context import Context
from bench.dependencies import unchanged_dependencies
from bench.engine import LABEL
from bench.first_byte import first_byte
from bench.idle import idle_server
from bench.instead import what_else_there_is
from bench.job_end import job_end
from bench.job_rate import job_rate
from bench.line_latency import line_latency
from bench.log_volume import log_volume
from bench.lookups import lookups
from bench.measure import Comparison
from bench.page import table, write_page
from bench.plot import write_plot
from bench.readers import thousand_readers
from bench.results import Entry, engine_version, load, row_of, save, this_machine
from bench.server import remove_all
from bench.submissions import durable_submissions
from bench.submit import submit_against_docker_run
from bench.tick import reconcile_tick
from bench.tools import Unavailable
from bench.unchanged_tree import unchanged_tree
from bench.under_load import lookups_under_load

Benchmark = Callable[[Context], Comparison | Sequence[Comparison]]

BENCHMARKS: dict[str, tuple[str, Benchmark]] = {
    "submit": ("ci submit of a hello project against docker run", submit_against_docker_run),
    "first-byte": ("last upload byte to first log byte", first_byte),
    "end": ("end of the process to the client's verdict", job_end),
    "jobs": ("eight jobs at once against eight bare containers", job_rate),
    "dependencies": ("the dependency step when nothing changed", unchanged_dependencies),
    "streams": ("300 MB of log to one reader", log_volume),
    "lines": ("a line's way from the job to its reader", line_latency),
    "readers": ("a thousand readers of one job", thousand_readers),
    "unchanged": ("submitting 10,000 unchanged files again", unchanged_tree),
    "submissions": ("durable submissions by 16 clients against bare commits", durable_submissions),
    "lookups": ("looking jobs up among a million", lookups),
    "load": ("one job looked up with 100 running and 1,000 streams open", lookups_under_load),
    "tick": ("a look of the controller with ten thousand queued jobs", reconcile_tick),
    "idle": ("what a server takes that has nothing to do", idle_server),
    "instead": ("gitlab-ci-local and Buildbot's try, installed for it", what_else_there_is),
}

_LONGEST_REASON = 200

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_PAGE, _FIGURES, _PLOT = (_DOCS / f"performance.{kind}" for kind in ("md", "json", "svg"))


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
    try:
        return _run_all(arguments, image)
    except KeyboardInterrupt:
        return 130
    finally:
        remove_all(LABEL)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--pairs", type=int, default=20, help="runs of each side (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ as it is")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown or arguments.pairs < 1:
        parser.error(f"no benchmark {unknown[0]!r}: see --list" if unknown else "--pairs from 1 up")
    return arguments


def _run_all(arguments: argparse.Namespace, image: str) -> int:
    engine = engine_version()
    entries: dict[str, Entry] = {}
    samples: list[object] = []
    for name in arguments.names or BENCHMARKS:
        machine = this_machine(engine)
        with tempfile.TemporaryDirectory(prefix="standby-ci-bench-") as folder:
            found, failure = _run(name, Context(Path(folder), image, arguments.pairs))
        entries[name] = Entry(machine, [row_of(each) for each in found], failure)
        samples += [each.raw() for each in found]
        # After each, so that an interruption costs only the one it interrupts.
        if not arguments.print_only:
            _write({name: entries[name]})
        if arguments.json:
            arguments.json.write_text(json.dumps(samples, indent=1))
    print(table(entries))
    return int(any(entry.failure for entry in entries.values()))


def _run(name: str, context: Context) -> tuple[list[Comparison], str]:
    """Run one benchmark and print it; return what it found, or why nothing came of it."""
    begin = time.monotonic()
    try:
        found = BENCHMARKS[name][1](context)
    except Unavailable as error:
        return [], _reason(error, context)
    except Exception as error:  # noqa: BLE001 -- the others go on, and the page says why
        traceback.print_exc()
        return [], f"it failed: {_reason(error, context)}"
    comparisons = [found] if isinstance(found, Comparison) else list(found)
    for each in comparisons:
        print(f"{each.report()}\n", flush=True)
    print(f"  ({name} took {time.monotonic() - begin:.0f} s)\n", file=sys.stderr, flush=True)
    return comparisons, ""


def _reason(error: Exception, context: Context) -> str:
    first = str(error).partition("\n")[0] or type(error).__name__
    reason = first.replace(str(context.folder), "…")[:_LONGEST_REASON]
    print(f"not measured: {reason}\n", file=sys.stderr, flush=True)
    return reason


def _write(new: dict[str, Entry]) -> None:
    """Put new entries in the place of the old ones, and make page and plot from all."""
    known = load(_FIGURES) | new
    entries = {name: known[name] for name in BENCHMARKS if name in known}
    save(_FIGURES, entries)
    write_plot(_PLOT, entries)
    write_page(_PAGE, entries, _PLOT.name)


if __name__ == "__main__":
    sys.exit(main())
