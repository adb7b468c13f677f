"""Going on from the engine's record: nothing twice, nothing of the record left out."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.signals import LocalSignals
from ci_controller.job_log import JobLog
from ci_controller.resumption import UNFINISHED, CatchUp, Resumption, unfinished_line
from ci_persistence.logs import FileLogStore
from tests.fakes.repository import InMemoryJobRepository, new_job

LINES = st.lists(st.text("ab\r", max_size=5).map(lambda line: f"{line}\n".encode())).map(b"".join)
UNENDED = st.text("ab\r", max_size=8).map(str.encode)
CUTS = st.lists(st.integers(min_value=0), max_size=8)


def caught_up(tail: bytes, record: bytes, cuts: list[int]) -> tuple[bytes, list[int]]:
    """Return what is passed on of a record that comes in pieces, and what was settled."""
    passed: list[bytes] = []
    settled: list[int] = []

    def settle(lacking: int) -> None:
        assert passed == [], "settled before anything is written"
        settled.append(lacking)

    catch_up = CatchUp(passed.append, tail, settle)
    marks = sorted({0, len(record), *(cut % (len(record) + 1) for cut in cuts)})
    for start, stop in pairwise(marks):
        catch_up(record[start:stop])
    return b"".join(passed), settled


@given(LINES, UNENDED, LINES, CUTS)
def test_a_record_that_lacks_nothing(kept, unended, more, cuts):
    tail = kept + unended
    passed, settled = caught_up(tail, tail + b"!" + more, cuts)
    assert passed == b"!" + more
    assert settled == [0]


@given(LINES, LINES, UNENDED, LINES, CUTS)
def test_a_record_that_lacks_the_end(kept, lost, unended, more, cuts):
    tail = kept + lost + unended
    passed, settled = caught_up(tail, kept + b"!" + more, cuts)
    assert passed == b"!" + more
    assert settled == ([len(lost + unended)] if lost + unended else [0])


@given(LINES, st.text("ab", min_size=1, max_size=8), st.integers(0, 8), CUTS)
def test_what_goes_on_like_what_was_lost_is_not_taken_for_it(kept, lost, alike, cuts):
    """The record goes on with a line of its own, which began like the lost one."""
    line = lost.encode()[: alike % len(lost)] + b"!\n"
    passed, settled = caught_up(kept + lost.encode(), kept + line, cuts)
    assert (passed, settled) == (line, [len(lost)])


def test_a_long_line_is_recorded_piece_by_piece():
    """Only what comes after the last full piece of it can have been lost."""
    recorded = b"x" * UNFINISHED
    passed, settled = caught_up(recorded + b"lost", recorded + b"l-more\n", [UNFINISHED + 2])
    assert (passed, settled) == (b"l-more\n", [4])


@pytest.mark.parametrize(
    ("tail", "unfinished"),
    [
        (b"", b""),
        (b"a line\n", b""),
        (b"a line\nbegun", b"begun"),
        (b"begun", b"begun"),
        (b"a\n" + b"x" * UNFINISHED + b"begun", b"begun"),
        (b"x" * UNFINISHED, b""),
    ],
)
def test_the_unfinished_line(tail, unfinished):
    assert unfinished_line(tail) == unfinished


def test_what_cannot_be_settled_is_not_passed_on():
    passed: list[bytes] = []

    def settle(_lacking: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        CatchUp(passed.append, b"lost", settle)(b"more\n")
    assert passed == []


class Record:
    """The engine's record of one container, in place of an executor."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def follow(self, _name, sink, *, skip):
        await asyncio.to_thread(sink, self.content[skip:])


async def test_what_is_known_to_be_lacking_is_not_looked_for_again(tmp_path):
    """Nor by a process that comes after a crash: the line is unfinished all the while."""
    logs, record = FileLogStore(tmp_path), Record(b"one\nun")
    job, _ = await InMemoryJobRepository(tmp_path).add(new_job())
    noted = []

    async def note(base: int, settled: int) -> None:
        noted.append((base, settled))

    with JobLog(logs, job, LocalSignals()) as log:
        log.sink(b"one\nbeg")
        await Resumption(record).follow("c", job, log, note)
        assert noted == [(3, 7)]
        assert log.tail(log.size) == b"one\nbegun"
        record.content += b"finished"
        ((base, settled),) = noted
        known = replace(job, log_base=base, log_settled=settled)
        await Resumption(record).follow("c", known, log, note)
        assert log.tail(log.size) == b"one\nbegunfinished"
    assert noted == [(3, 7)]
