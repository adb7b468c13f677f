"""A job's stream: what any number of readers see of it, each at its own pace.

A reader holds an offset into the log file and nothing else. Replaying,
following and coming back after a lost connection are the same read.
"""

import asyncio
import logging
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from ci_common.errors import JobNotFound, RangeNotSatisfiable, StorageBusy
from ci_common.events import CompleteEvent, JobEvent, LogEvent, StatusEvent
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job, JobStatus
from ci_common.logs import LogReader, LogStore
from ci_common.signals import QUEUE, Signals, Subscription, job_topic, log_topic
from ci_server.chunker import decode_chunk, unfinished
from ci_server.shutdown import Shutdown

CHUNK = 64 * 1024
"""Bytes of log in one event, at most."""

LOOK_AGAIN = 1.0
"""Seconds after which a reader looks by itself, in case a signal was lost; up to twice as many."""

_LONGEST_CHARACTER = 4

_SHUTDOWN = "shutdown"
"""Topic that tells a waiting reader to end. It never leaves the process."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Positioned:
    """An event and the offset in the log up to which its reader has seen everything."""

    offset: int
    event: JobEvent


def start_offset(job: Job, logs: LogStore, wanted: int | None, *, from_beginning: bool) -> int:
    """Return the offset in the log at which a reader begins.

    ``wanted`` is where it left off and wins; else the log's beginning, or its
    present end. Logs only grow, so an offset beyond the end belongs to another
    job: replaying from somewhere else would hide that, and is refused.

    Raises:
        RangeNotSatisfiable: ``wanted`` lies beyond the end of the log.

    """
    if wanted is None and from_beginning:
        return 0
    size = logs.size(job.id)
    if wanted is None:
        tail = min(size, _LONGEST_CHARACTER)
        return size - unfinished(logs.read(job.id, size - tail, tail))
    if wanted > size:
        raise RangeNotSatisfiable(
            f"offset {wanted} is beyond the end of the log ({size} bytes)",
            hint="Resume with the id of an event of this job, or use from_beginning=true.",
        )
    return wanted


class JobReader:
    """Reads one job from ``offset`` to its end. For one task, once.

    ``outage`` is asked, at each look, what all jobs wait for.
    """

    def __init__(
        self,
        job: Job,
        offset: int,
        *,
        repository: JobRepository,
        signals: Signals,
        shutdown: Shutdown,
        outage: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._job = job
        self._offset = offset
        self._repository = repository
        self._signals = signals
        self._shutdown = shutdown
        self._log: LogReader | None = None
        self._outage = outage
        # A thousand readers that came together must not all look in the same moment.
        phase = zlib.crc32(job.id.encode()) / 2**32
        self._look_again = LOOK_AGAIN * (1.0 + phase)
        self._position: int | None = None
        self._waiting: str | None = None
        self._told: StatusEvent | None = None

    async def events(self) -> AsyncGenerator[Positioned, None]:
        """Yield the job's state, its log and its verdict, as they come.

        Ends after ``complete``, or without it when the server shuts down or
        the job is deleted: the reader may come back with its last offset.
        """
        topics = (log_topic(self._job.id), job_topic(self._job.id), QUEUE)
        with ExitStack() as stack:
            signalled = stack.enter_context(self._signals.subscribe(*topics))
            stack.enter_context(self._shutdown.calling(lambda: signalled.deliver(_SHUTDOWN)))
            # The caller read the row before we listened: what changed since would be missed.
            exists = await self._look()
            while exists and not self._shutdown.begun:
                # The row is read before the log: the log of a job that has ended
                # is whole, so nothing can be left behind the verdict.
                ended = self._job.status.ended
                if ended and not await self._hold_log(stack):
                    return
                if status := self._news():
                    yield self._at(status)
                more = True
                while more and not self._shutdown.begun:
                    text, more = self._read(final=ended)
                    if text:
                        yield self._at(LogEvent(text))
                    if more:
                        await asyncio.sleep(0)  # a long replay must not keep others from the loop
                if ended and not more:
                    yield self._at(_complete(self._job))
                    return
                exists = await self._wait(signalled)

    def _at(self, event: JobEvent) -> Positioned:
        return Positioned(self._offset, event)

    def _news(self) -> StatusEvent | None:
        job = self._job
        status = StatusEvent(
            status=job.status.value,
            position=self._position,
            detail=job.detail,
            waiting=self._waiting,
        )
        if job.status.ended or status == self._told:
            return None
        self._told = status
        return status

    def _read(self, *, final: bool) -> tuple[str, bool]:
        # On the loop: 64 KiB from the page cache take 9 µs, a turn of a thread 60 (measured).
        if self._log is None:
            data = self._repository.logs.read(self._job.id, self._offset, CHUNK)
        else:
            data = self._log.read(self._offset, CHUNK)
        more = len(data) == CHUNK
        text, used = decode_chunk(data, final=final and not more)
        self._offset += used
        return text, more

    async def _hold_log(self, stack: ExitStack) -> bool:
        """Have the whole log at hand from now on, even if the job is removed meanwhile.

        Returns False if it has been removed already: rows go before logs, so a
        job that is still there never had a log.
        """
        self._log = self._repository.logs.open_reader(self._job.id)
        if self._log is None:
            return await self._look()
        stack.enter_context(closing(self._log))
        return True

    async def _wait(self, signalled: Subscription) -> bool:
        topics = await signalled.wait(self._look_again)
        queued = self._job.status is JobStatus.QUEUED
        if topics == {log_topic(self._job.id)} or (topics == {QUEUE} and not queued):
            return True
        return await self._look()

    async def _look(self) -> bool:
        self._waiting = self._outage()
        try:
            job = await self._repository.get(self._job.id)
            queued = job.status is JobStatus.QUEUED
            position = await self._repository.queue_position(job.id) if queued else None
        except StorageBusy:
            _logger.warning("the database is busy; the stream of job %s lags", self._job.id)
        except JobNotFound:
            return False
        else:
            self._job, self._position = job, position
        return True


def _complete(job: Job) -> CompleteEvent:
    return CompleteEvent(
        success=bool(job.success),
        exit_code=job.exit_code,
        reason=job.reason.value if job.reason else job.status.value,
        detail=job.detail,
    )
