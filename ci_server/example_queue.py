"""Examples of the queue, and of what happens to jobs."""

from ci_common.api import (
    EventHistory,
    EventsFollowed,
    EventsGap,
    EventView,
    QueueCountsView,
    QueueDepth,
    QueuedJobView,
    QueueView,
    RunningJobView,
)

_JOB_ID = "3f2a9c1e-7d54-4c0b-9f0e-1b2d3c4e5f60"
_COUNTS = QueueCountsView(queued=1, running=1, capacity=4)
_QUEUED = QueuedJobView(
    job_id=_JOB_ID,
    position=1,
    project="demo",
    submitter="ada",
    labels={"branch": "main"},
    group="",
    command="python -m pytest",
    priority=0,
    effective_priority=0.5,
    attempt=1,
    waiting_since="2026-11-21T09:30:00.118Z",
    waits_for="turn",
    waiting=None,
    expected_start="2026-11-21T09:31:00.000Z",
    expected_duration=12.5,
)
_RUNNING = RunningJobView(
    job_id="8c41d7aa-52f0-4e3b-8a86-0d9f6b1c2e37",
    project="demo",
    submitter="grace",
    labels={},
    group="",
    command="python -m pytest",
    attempt=1,
    start_time="2026-11-21T09:29:51.340Z",
    running_for=8.8,
    expected_duration=12.5,
    expected_end="2026-11-21T09:30:03.840Z",
    stopping=None,
)
_EVENT = EventView(
    type="job.ended",
    seq=41,
    time="2026-11-21T09:30:12.750Z",
    job_id=_JOB_ID,
    project="demo",
    submitter="ada",
    status="completed",
    attempt=1,
    reason="passed",
    exit_code=0,
    detail=None,
)
_GAP = EventsGap(after=7, resumed=40)

QUEUE = (
    _COUNTS,
    _QUEUED,
    _RUNNING,
    QueueView(counts=_COUNTS, queued=[_QUEUED], running=[_RUNNING], waiting=None),
    _EVENT,
    QueueDepth(queued=3, running=1),
    _GAP,
    EventsFollowed(after=41),
    EventHistory(events=[_EVENT], next=41, more=False, gap=_GAP),
)
