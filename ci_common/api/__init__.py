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
from ci_common.api.results import (
    ArtifactsView,
    CasesView,
    CoverageView,
    FlakyView,
    HistoryView,
    artifacts_view,
    past_case_view,
    results_state,
)
from ci_common.api.retries import RetryRequest

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "PROBLEM_TYPE_PREFIX",
    "QUEUE_DEPTH",
    "ArtifactsView",
    "CacheEntry",
    "CasesView",
    "CoverageView",
    "EventHistory",
    "EventView",
    "EventsFollowed",
    "EventsGap",
    "FlakyView",
    "HistoryView",
    "JobAccepted",
    "JobView",
    "Problem",
    "QueueCountsView",
    "QueueDepth",
    "QueueView",
    "QueuedJobView",
    "RetryRequest",
    "RunningJobView",
    "artifacts_view",
    "event_view",
    "job_view",
    "past_case_view",
    "results_state",
]
