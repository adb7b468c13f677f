"""What travels over HTTP, shared by server and client."""

from ci_common.api.cache import CacheEntry
from ci_common.api.events import (
    QUEUE_DEPTH,
    EventHistory,
    EventsFollowed,
    EventsGap,
    EventView,
    QueueDepth,
    event_view,
)
from ci_common.api.jobs import JobAccepted, JobView, job_view
from ci_common.api.problems import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_PREFIX, Problem
from ci_common.api.queue import QueueCountsView, QueuedJobView, QueueView, RunningJobView

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "PROBLEM_TYPE_PREFIX",
    "QUEUE_DEPTH",
    "CacheEntry",
    "EventHistory",
    "EventView",
    "EventsFollowed",
    "EventsGap",
    "JobAccepted",
    "JobView",
    "Problem",
    "QueueCountsView",
    "QueueDepth",
    "QueueView",
    "QueuedJobView",
    "RunningJobView",
    "event_view",
    "job_view",
]
