"""From the docstrings of the tests to the table of ``docs/reliability.md``."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.e2e.crash_points.steps import walks
from tests.reliability.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"

_WALK = ("e2e/test_crash_points.py", "test_a_crash_at_every_step")
_NAMED = re.compile(r"\bFaults? (\d+(?:(?:, | and )\d+)*)\b")

_HEAD = """\
# Reliability

What is done to the system on purpose, what must come of it, and the tests that do it. Written by
`python -m tests.reliability` from the tests' docstrings; a test fails if it is out of date.

Always, whatever happens: a job that was acknowledged is never lost; at most one container of an
attempt lives; a job ends once; a log only grows, without gaps and with nothing twice; after a few
ticks no container, temporary file or stash is left that nothing needs. `tests/invariants.py` checks
this from outside.

The server is killed at every step of a job's path: the table in `tests/e2e/crash_points/steps.py`
names the steps, and a test fails if a step is missing there
([decision 0024](decisions/0024-crash-points-are-calls-through-protocols.md)). `make soak` runs what
takes long, such as 200 jobs on a server that is killed 50 times at random moments. Most of these
faults also come in any order, and several at once, to whole servers in a simulated world, which
checks the same after each step
([decision 0025](decisions/0025-whole-servers-run-in-a-simulated-world.md)).

| # | fault | expected | seen | tests |
|---|---|---|---|---|
"""


def faults_named_in(docstring: str) -> set[int]:
    """Return the numbers of the faults that a docstring says it is about."""
    return {
        int(number) for named in _NAMED.findall(docstring) for number in re.findall(r"\d+", named)
    }


def by_fault(folder: Path = ROOT / "tests") -> Mapping[int, Mapping[str, list[str]]]:
    """Return for each fault the tests that are about it: their names by file."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.rglob("test_*.py")):
        file = path.relative_to(folder).as_posix()
        for name, docstring in _tests(ast.parse(path.read_text())):
            for number in faults_named_in(docstring):
                found[number][file].append(name)
    return found


def _tests(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            yield node.name, ast.get_docstring(node) or ""


def page() -> str:
    """Return the whole page."""
    tests = by_fault()
    return _HEAD + "".join(_row(number, tests.get(number, {})) for number in FAULTS)


def _row(number: int, tests: Mapping[str, Iterable[str]]) -> str:
    fault = FAULTS[number]
    files = [f"`{file}`: {', '.join(_names(number, file, names))}" for file, names in tests.items()]
    cells = (str(number), fault.what, fault.expected, fault.seen, "<br>".join(files))
    return f"| {' | '.join(cells)} |\n"


def _names(number: int, file: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        label = name.removeprefix("test_").replace("_", " ")
        yield label + (_cases(number) if (file, name) == _WALK else "")


def _cases(number: int) -> str:
    points = [walk.point for walk in walks() if number in walk.crash.faults]
    steps = dict.fromkeys(f"`{point.step}`" for point in points)
    return f" ({len(points)} cases: {', '.join(steps)})"
