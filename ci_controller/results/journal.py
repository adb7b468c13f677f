"""Reading what the pytest plugin wrote down. It comes out of a job: nothing of it is trusted."""

from collections.abc import Sequence

import msgspec

from ci_common.results import Case, Coverage, Outcome

MAX_ID = 1000
"""Characters of a node id."""
MAX_MESSAGE = 2000

_UNFINISHED = "it was running when the job ended"


class _Line(msgspec.Struct):
    start: str = ""
    test: str = ""
    outcome: Outcome = Outcome.PASSED
    duration: float = 0.0
    message: str = ""
    covered: float | None = None


_decoder = msgspec.json.Decoder(_Line)


def read_journal(content: bytes) -> tuple[Sequence[Case], Coverage | None]:
    """Return the tests of one run of pytest, in the order in which they ended.

    A line that makes no sense is skipped. Tests that began and did not end come last, as errors.
    """
    cases: list[Case] = []
    begun: dict[str, None] = {}
    coverage = None
    for raw in content.splitlines():
        try:
            line = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if line.start:
            begun[line.start] = None
        elif line.test:
            begun.pop(line.test, None)
            cases.append(_case(line))
        elif line.covered is not None and 0 <= line.covered <= 100:
            coverage = Coverage(line_rate=round(line.covered / 100, 6), source="pytest-cov")
    lost = [_Line(test=each, outcome=Outcome.ERROR, message=_UNFINISHED) for each in begun]
    return [*cases, *map(_case, lost)], coverage


def _case(line: _Line) -> Case:
    node_id = line.test[:MAX_ID]
    file, classname, name = split_node_id(node_id)
    return Case(
        node_id=node_id,
        classname=classname,
        name=name,
        file=file,
        outcome=line.outcome,
        duration=seconds(line.duration),
        message=line.message[:MAX_MESSAGE],
    )


def split_node_id(node_id: str) -> tuple[str, str, str]:
    """Return file, class (dotted, with the module) and name, as pytest's own JUnit reports do."""
    plain, bracket, parameters = node_id.partition("[")
    file, *inner = plain.split("::")
    name = (inner.pop() if inner else "") + bracket + parameters
    module = file.removesuffix(".py").replace("/", ".")
    return file, ".".join([module, *inner]), name


def seconds(value: float) -> float:
    """Return a duration that was told, 0 if it cannot be one."""
    return round(value, 6) if 0 <= value < 1e9 else 0.0
