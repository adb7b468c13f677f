"""The routes: at ``/`` and at ``/api/v1``, or at ``/api/v1`` only what manages jobs."""

from collections.abc import Sequence

from litestar import Router
from litestar.types import ControllerRouterHandler

from ci_server.routes.account_page import ACCOUNT_PAGES
from ci_server.routes.api_keys import KEY_HANDLERS
from ci_server.routes.artifacts import get_artifact, get_artifacts_archive, list_artifacts
from ci_server.routes.audit import list_audit
from ci_server.routes.cache import list_cache, prune_cache
from ci_server.routes.events import list_events, listen, stream_events
from ci_server.routes.health import get_health, get_readiness, get_version
from ci_server.routes.job_secrets import SECRET_HANDLERS
from ci_server.routes.jobs import cancel_job, get_job, list_jobs
from ci_server.routes.logs import get_log, head_log
from ci_server.routes.metrics import get_metrics
from ci_server.routes.oidc import OIDC_PAGES
from ci_server.routes.options import options_of
from ci_server.routes.organisations import ORGANISATION_HANDLERS
from ci_server.routes.queue import get_queue
from ci_server.routes.results import (
    get_coverage,
    get_test_history,
    list_flaky_tests,
    list_tests,
)
from ci_server.routes.retries import retry_job
from ci_server.routes.sessions import SESSION_HANDLERS
from ci_server.routes.sign_in import SIGN_IN_HANDLERS
from ci_server.routes.sign_in_pages import SIGN_IN_PAGES
from ci_server.routes.streams import stream_job
from ci_server.routes.submissions import submit, submit_async, submit_stream
from ci_server.routes.tokens import get_keys, get_token
from ci_server.routes.usage import get_usage
from ci_server.routes.users import USER_HANDLERS
from ci_server.routes.webhooks import WEBHOOK_HANDLERS
from ci_server.routes.whoami import whoami

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
    get_metrics,
)

MANAGEMENT: Sequence[ControllerRouterHandler] = (
    cancel_job,
    retry_job,
    get_queue,
    list_artifacts,
    get_artifact,
    get_artifacts_archive,
    list_tests,
    get_coverage,
    get_test_history,
    list_flaky_tests,
    stream_events,
    list_events,
    listen,
    *SECRET_HANDLERS,
    *SIGN_IN_HANDLERS,
    *SESSION_HANDLERS,
    get_token,
    *WEBHOOK_HANDLERS,
    list_audit,
    get_usage,
    whoami,
    *KEY_HANDLERS,
    *USER_HANDLERS,
    *ORGANISATION_HANDLERS,
)
"""Newer than the first version's routes, which clients without a prefix know."""


PAGES: Sequence[ControllerRouterHandler] = (
    *SIGN_IN_PAGES,
    *ACCOUNT_PAGES,
    *OIDC_PAGES,
    get_keys,
)
"""What browsers and libraries look for at the root."""


def build_routers() -> list[Router]:
    """Return the routers of an application. The description shows the one at ``API_PREFIX``."""
    return [
        _router("/", (*HANDLERS, *PAGES), include_in_schema=False),
        _router(API_PREFIX, (*HANDLERS, *MANAGEMENT), include_in_schema=True),
    ]


def _router(
    path: str, handlers: Sequence[ControllerRouterHandler], *, include_in_schema: bool
) -> Router:
    # The first handler at a path decides whether Litestar makes an answer of its own.
    answers = (*options_of(handlers), *handlers)
    return Router(path, route_handlers=answers, include_in_schema=include_in_schema)
