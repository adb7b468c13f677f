"""Going on with a log from the engine's own record, when that may lack what we have already.

An attached reader is told at once what a container writes; the engine's record
gets it a little later, an unfinished line only when it is finished. An engine
that restarts under living containers forgets what it had not yet recorded, so
the record can go on behind the end of our log as if those bytes had never been.
Whether they were forgotten or are still to come shows when the record goes on.

A log that secrets are masked in is compared with the record masked in the same way,
which changes no length and no newline. What was held back of an attached reader's
output, because it may have been the beginning of a secret, is taken from the record.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ci_common.executor import Executor, OutputPump, OutputSink
from ci_common.jobs import Job
from ci_controller.job_log import JobLog
from ci_controller.masking import Skipping

UNFINISHED = 16 * 1024
"""Bytes at which the engine records a line piece by piece."""

UNRECORDED = 2 * 1024 * 1024
"""Bytes that an attached reader can be ahead of the engine's record: twice its buffer."""


class Resumption:
    """Goes on with logs; remembers which of them end with what an attached reader was told."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._attached: set[str] = set()

    def attached(self, job: Job) -> None:
        """Take note that a job's log comes from an attached reader."""
        self._attached.add(job.id)

    def over(self, job: Job) -> None:
        """Forget a job. Idempotent."""
        self._attached.discard(job.id)

    async def follow(
        self,
        name: str,
        job: Job,
        log: JobLog,
        note_base: Callable[[int, int], Coroutine[Any, Any, None]],
    ) -> OutputPump:
        """Write what the record of the container ``name`` adds to the log.

        ``note_base`` makes durable, before anything is written, which
        ``log_base`` the job would have if the record lacked nothing, and up to
        which offset of the log: what is before that is not looked for again.
        """
        size = log.size
        have = max(0, size - job.log_base)
        tail = log.tail(max(0, min(have, size - job.log_settled, UNRECORDED)))
        if job.id not in self._attached:
            # What a former process followed is in the record, all but the last line of it.
            tail = unfinished_line(tail)
        loop = asyncio.get_running_loop()

        def settled(lacking: int) -> None:
            if lacking:
                moved = note_base(job.log_base + lacking, size)
                asyncio.run_coroutine_threadsafe(moved, loop).result()
            self._attached.discard(job.id)

        # What begins before a byte can decide whether that is masked, so it is read again too.
        before = min(have - len(tail), log.masks.reach)
        sink = log.masked(Skipping(CatchUp(log.sink, tail, settled), before))
        return await self._executor.follow(name, sink, skip=have - len(tail) - before)


class CatchUp:
    """An ``OutputSink`` that drops what the log has and passes on what follows.

    ``tail`` is the end of the log, and the record is read from where ``tail``
    would begin in it. Before anything is passed on, ``settled`` is told how many
    bytes of ``tail`` the record lacks; what it raises ends the pump. A record
    that goes on with the very bytes it lacks cannot be told from one that has them.
    """

    def __init__(self, sink: OutputSink, tail: bytes, settled: Callable[[int], None]) -> None:
        self._sink = sink
        self._tail = tail
        self._settled = settled
        self._matched = 0
        self._done = False

    def __call__(self, data: bytes) -> None:
        """Take the next bytes of the record. For the pump's thread."""
        if not self._done:
            data = self._beyond(data)
        if data:
            self._sink(data)

    def _beyond(self, data: bytes) -> bytes:
        """Return what ``data`` adds to the log."""
        expected = self._tail[self._matched : self._matched + len(data)]
        same = _common(expected, data)
        self._matched += same
        if same < len(expected):
            begin = _frame_begin(self._tail, self._matched)
            again = self._tail[begin : self._matched]
            self._settle(len(self._tail) - begin)
            return again + data[same:]
        if self._matched == len(self._tail):
            self._settle(0)
        return data[same:]

    def _settle(self, lacking: int) -> None:
        self._settled(lacking)
        self._done = True
        self._tail = b""


def unfinished_line(tail: bytes) -> bytes:
    """Return what the engine may not have recorded yet of a log that ends with ``tail``."""
    line = len(tail) - (tail.rfind(b"\n") + 1)
    return tail[len(tail) - line % UNFINISHED :]


def _frame_begin(tail: bytes, position: int) -> int:
    """Return where the record's frame that holds ``position`` begins.

    The record goes on with a new frame, so what looked alike up to
    ``position`` did so by chance from there on.
    """
    line = tail.rfind(b"\n", 0, position) + 1
    return position - (position - line) % UNFINISHED


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two byte strings have in common at their beginning."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    low, high = 0, length
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle)
    return low
