"""Reading JUnit and Cobertura XML that a job left, as a stream.

expat is told to refuse every declaration of an entity, so that none can grow;
no tree is built, so that memory depends on the longest message and not on the file.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from xml.parsers import expat

from ci_common.results import Case, Coverage, Outcome
from ci_controller.results.journal import MAX_ID, MAX_MESSAGE, seconds

_MOST_DEPTH = 100
_OUTCOMES: Mapping[str, Outcome] = {
    "failure": Outcome.FAILED,
    "error": Outcome.ERROR,
    "skipped": Outcome.SKIPPED,
}


class UnreadableReport(ValueError):
    """A report that is not XML, not of its kind, or not safe to read."""


def read_junit(content: Iterable[bytes], *, most: int) -> Sequence[Case]:
    """Return the tests of a JUnit report, at most ``most``. Raises ``UnreadableReport``."""
    reader = _JUnit(most)
    _parse(content, reader)
    if not reader.is_one:
        raise UnreadableReport("it is no JUnit report: it has no testsuite")
    return reader.cases


def read_cobertura(content: Iterable[bytes], *, source: str) -> Coverage:
    """Return the rates that a Cobertura report tells. Raises ``UnreadableReport``."""
    reader = _Cobertura()
    _parse(content, reader)
    line_rate = _rate(reader.root.get("line-rate"))
    if reader.name != "coverage" or line_rate is None:
        raise UnreadableReport("it is no Cobertura report: it has no line-rate")
    branches = reader.root.get("branches-valid", "")
    has_branches = branches.isdecimal() and int(branches[:18]) > 0
    branch_rate = _rate(reader.root.get("branch-rate")) if has_branches or not branches else None
    return Coverage(line_rate=line_rate, branch_rate=branch_rate, source=source)


class _Reader:
    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take the beginning of an element."""

    def text(self, data: str) -> None:
        """Take text inside of an element."""

    def end(self, name: str) -> None:
        """Take the end of an element."""


class _Cobertura(_Reader):
    def __init__(self) -> None:
        self.name = ""
        self.root: Mapping[str, str] = {}

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self.name:
            self.name, self.root = name, dict(attributes)


class _JUnit(_Reader):
    def __init__(self, most: int) -> None:
        self.cases: list[Case] = []
        self.is_one = False
        self._most = most
        self._case: Mapping[str, str] | None = None
        self._outcome = Outcome.PASSED
        self._message = ""
        self._inside = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.is_one = self.is_one or name in {"testsuite", "testsuites"}
        if name == "testcase":
            self._case, self._outcome, self._message = dict(attributes), Outcome.PASSED, ""
        elif self._case is not None and name in _OUTCOMES and self._outcome is Outcome.PASSED:
            self._outcome = _OUTCOMES[name]
            if attributes.get("type") == "pytest.xfail":
                self._outcome = Outcome.XFAILED
            self._message = attributes.get("message", "")[:MAX_MESSAGE]
            # Only if there is no message its text is one.
            self._inside = "" if self._message else name

    def text(self, data: str) -> None:
        if self._inside:
            self._message = (self._message + data)[:MAX_MESSAGE]

    def end(self, name: str) -> None:
        if name == self._inside:
            self._inside = ""
        if name == "testcase" and self._case is not None:
            if len(self.cases) < self._most:
                self.cases.append(_case(self._case, self._outcome, self._message.strip()))
            self._case = None


def _case(attributes: Mapping[str, str], outcome: Outcome, message: str) -> Case:
    classname, name = attributes.get("classname", ""), attributes.get("name", "")
    file = attributes.get("file", "")
    return Case(
        node_id="::".join(filter(None, (classname or file, name)))[:MAX_ID],
        classname=classname[:MAX_ID],
        name=name[:MAX_ID],
        file=file[:MAX_ID],
        outcome=outcome,
        duration=_seconds(attributes.get("time", "")),
        message=message,
    )


def _seconds(text: str) -> float:
    with suppress(ValueError):
        return seconds(float(text.replace(",", "")))
    return 0.0


def _rate(text: str | None) -> float | None:
    with suppress(ValueError, TypeError):
        rate = float(text or "")
        return round(rate, 6) if math.isfinite(rate) and 0 <= rate <= 1 else None
    return None


def _parse(content: Iterable[bytes], reader: _Reader) -> None:
    parser = expat.ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise UnreadableReport("its elements are too deep inside of each other")
        reader.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        reader.end(name)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse_entity
    try:
        for data in content:
            parser.Parse(data, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UnreadableReport(f"it is not XML: {error}") from error


def _refuse_entity(*_: object) -> None:
    raise UnreadableReport("it declares entities, which are not read")
