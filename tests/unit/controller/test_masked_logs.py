"""A log with masks, whoever is killed when: no secret, and no byte twice or missing."""

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ci_common.signals import LocalSignals
from ci_controller.job_log import JobLog
from ci_controller.masking import Masks
from ci_controller.resumption import Resumption
from ci_persistence.logs import FileLogStore
from tests.fakes.repository import InMemoryJobRepository, new_job

SECRETS = ["abababab", "abababbb-or-more", "line one is\nab\nend"]
PIECES = st.lists(st.sampled_from([*SECRETS, "ab", "abab", "\n", "line one is\n", "x"]), max_size=9)
CUTS = st.lists(st.integers(min_value=0), max_size=6)


class Record:
    """The engine's record of one container, which is read in pieces, perhaps not to its end."""

    def __init__(self, content: bytes, cuts: list[int], most: int) -> None:
        self.content, self.cuts, self.most = content, cuts, most

    async def follow(self, _name, sink, *, skip):
        await asyncio.to_thread(self.send, sink, skip)

    def send(self, sink, skip: int) -> None:
        rest = self.content[skip:]
        marks = sorted({0, len(rest), *(cut % (len(rest) + 1) for cut in self.cuts)})
        for number, (begin, end) in enumerate(pairwise(marks)):
            if number == self.most:
                return  # killed: what is held back is gone with the process
            sink(rest[begin:end])


async def _note(_base: int, _settled: int) -> None:
    raise AssertionError("the record lacks nothing")


async def _logged(record: bytes, lives: list[tuple[list[int], int]]) -> tuple[bytes, list[bytes]]:
    """Return the log of a job whose servers are killed after so many pieces, and how it grew."""
    masks, grew = Masks(SECRETS), []
    with tempfile.TemporaryDirectory() as folder:
        logs = FileLogStore(Path(folder))
        job, _ = await InMemoryJobRepository(Path(folder)).add(new_job())

        def read() -> bytes:
            return logs.read(job.id, 0, len(record) + 100)

        for number, (cuts, most) in enumerate([*lives, ([], -1)]):
            last = number == len(lives)
            log = JobLog(logs, job, LocalSignals(), masks=masks)
            if number == 0 and not last:
                Record(record, cuts, most).send(log.masked(log.sink), 0)
            else:
                await Resumption(Record(record, cuts, most)).follow("c", job, log, _note)
            if last:
                await log.flush()
            log.__exit__(None if last else asyncio.CancelledError, None, None)
            grew.append(read())
        return read(), grew


@settings(max_examples=60, deadline=None)
@given(PIECES, st.lists(st.tuples(CUTS, st.integers(0, 4)), max_size=3))
@example(["line one is\nab\nend", "x"], [([], 4)])
def test_a_log_that_is_gone_on_with_is_the_output_masked(pieces, lives):
    record = "".join(pieces).encode()
    expected = Masks(SECRETS).masked(record)
    log, grew = asyncio.run(_logged(record, lives))
    assert log == expected
    assert all(expected.startswith(each) for each in grew)
