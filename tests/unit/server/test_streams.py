"""The verdict never overtakes the log, whenever the job ends."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import JobNotFound, RangeNotSatisfiable
from ci_common.events import CompleteEvent, LogEvent
from ci_common.jobs import EndReason, Job, JobStatus
from ci_common.recipe import Recipe
from ci_common.signals import LocalSignals, job_topic, log_topic
from ci_server.shutdown import Shutdown
from ci_server.streams import JobReader, start_offset

RUNNING = Job(
    id="j",
    seq=1,
    status=JobStatus.RUNNING,
    recipe=Recipe(),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    zip_path="",
    zip_size=0,
    zip_sha256="",
)
ENDED = replace(RUNNING, status=JobStatus.COMPLETED, reason=EndReason.PASSED, exit_code=0)


class StagedJob:
    """A job that goes on each time somebody looks: ``stages`` of log, then its end.

    Each look at the row or at the log may be the one between which it all happens.
    """

    def __init__(self, stages: list[bytes]) -> None:
        self.logs = self
        self.content = b""
        self.signals = LocalSignals()
        self._stages = list(stages)
        self._job = RUNNING

    def _go_on(self) -> None:
        if self._stages:
            # As the controller does: the log is whole before the row says so.
            self.content += self._stages.pop(0)
            self._job = RUNNING if self._stages else ENDED
            self.signals.notify(log_topic("j"))
            self.signals.notify(job_topic("j"))

    async def get(self, _job_id: str) -> Job:
        found = self._job
        self._go_on()
        return found

    def read(self, _job_id: str, offset: int, limit: int) -> bytes:
        found = self.content[offset : offset + limit]
        self._go_on()
        return found

    def size(self, _job_id: str) -> int:
        return len(self.content)

    def open_reader(self, _job_id: str) -> "HeldLog":
        return HeldLog(self)


class HeldLog:
    """The log of a job that has ended, held open."""

    def __init__(self, staged: StagedJob) -> None:
        self._staged = staged

    def read(self, offset: int, limit: int) -> bytes:
        return self._staged.read("j", offset, limit)

    def close(self) -> None:
        pass


def reader_of(staged, shutdown=None, offset=0) -> JobReader:
    return JobReader(
        RUNNING,
        offset,
        repository=staged,
        signals=staged.signals,
        shutdown=shutdown or Shutdown(),
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5) | st.just("€".encode()[:2]), min_size=1, max_size=8))
async def test_everything_comes_before_the_verdict(stages):
    staged = StagedJob(stages)
    seen = [positioned async for positioned in reader_of(staged).events()]
    text = "".join(one.event.data for one in seen if isinstance(one.event, LogEvent))
    assert text == b"".join(stages).decode("utf-8", "replace")
    assert isinstance(seen[-1].event, CompleteEvent)
    assert seen[-1].offset == len(b"".join(stages))


async def test_a_stream_that_begins_during_the_shutdown_ends_without_a_verdict():
    shutdown = Shutdown()
    shutdown.begin()
    staged = StagedJob([b"x"])
    assert [one async for one in reader_of(staged, shutdown).events()] == []


async def test_a_job_that_is_deleted_ends_its_stream():
    staged = StagedJob([b"x"])

    async def gone(_job_id):
        raise JobNotFound

    staged.get = gone
    assert [one async for one in reader_of(staged).events()] == []


def test_where_a_reader_begins():
    staged = StagedJob([])
    staged.content = "ab€".encode()[:4]
    assert start_offset(RUNNING, staged, None, from_beginning=True) == 0
    assert start_offset(RUNNING, staged, None, from_beginning=False) == 2
    assert start_offset(RUNNING, staged, 3, from_beginning=True) == 3
    assert start_offset(RUNNING, staged, 4, from_beginning=False) == 4
    with pytest.raises(RangeNotSatisfiable, match="beyond the end"):
        start_offset(RUNNING, staged, 5, from_beginning=False)
