"""What travels over HTTP, shared by server and client."""

from ci_common.api.cache import CacheEntry
from ci_common.api.jobs import JobAccepted, JobView, job_view
from ci_common.api.problems import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_PREFIX, Problem
from ci_common.api.retries import RetryRequest

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "PROBLEM_TYPE_PREFIX",
    "CacheEntry",
    "JobAccepted",
    "JobView",
    "Problem",
    "RetryRequest",
    "job_view",
]
