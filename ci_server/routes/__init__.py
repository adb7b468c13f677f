"""The routes, each mounted at ``/`` and at ``/api/v1``."""

from litestar import Router

from ci_server.routes.cache import list_cache, prune_cache
from ci_server.routes.health import get_health, get_readiness, get_version
from ci_server.routes.jobs import get_job, list_jobs
from ci_server.routes.logs import get_log, head_log
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


def build_routers() -> list[Router]:
    """Return the routers of an application. The description shows each route once, at ``/``."""
    return [
        Router("/", route_handlers=HANDLERS),
        Router(API_PREFIX, route_handlers=HANDLERS, include_in_schema=False),
    ]
