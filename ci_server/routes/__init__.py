"""The routes: at ``/`` and at ``/api/v1``, or at ``/api/v1`` only what manages jobs."""

from litestar import Router

from ci_server.routes.cache import list_cache, prune_cache
from ci_server.routes.health import get_health, get_readiness, get_version
from ci_server.routes.jobs import cancel_job, get_job, list_jobs
from ci_server.routes.logs import get_log, head_log
from ci_server.routes.retries import retry_job
from ci_server.routes.streams import stream_job
from ci_server.routes.submissions import submit, submit_async, submit_stream

API_PREFIX = "/api/v1"

HANDLERS = (
    submit,
    submit_stream,
    submit_async,
    stream_job,
    get_log,
    head_log,
    get_job,
    list_jobs,
    list_cache,
    prune_cache,
    get_health,
    get_readiness,
    get_version,
)

MANAGEMENT = (cancel_job, retry_job)
"""Newer than the first version's routes, which clients without a prefix know."""


def build_routers() -> list[Router]:
    """Return the routers of an application. The description shows each route once."""
    return [
        Router("/", route_handlers=HANDLERS),
        Router(API_PREFIX, route_handlers=(*HANDLERS, *MANAGEMENT), include_in_schema=False),
    ]
