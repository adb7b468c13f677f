"""What the server keeps between jobs."""

from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get
from litestar.datastructures import State
from litestar.params import QueryParameter

from ci_common.access import Action
from ci_common.api import CacheEntry
from ci_common.audit import AuditedAction
from ci_common.clock import SystemClock
from ci_common.errors import InvalidRequest
from ci_common.quantities import DURATION_PATTERN, parse_seconds
from ci_server.access import within_asked
from ci_server.audit import audit
from ci_server.cache import Cache
from ci_server.job_query import AnyRequest
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems


@get(
    "/cache",
    operation_id="list_cache",
    action=Action.READ,
    summary="What is kept between jobs",
    description="Dependencies that were installed once, and that jobs of the same organisation "
    "start from; the latest used first.",
    tags=["cache"],
    responses=problems(400, 404, 502, 503),
)
async def list_cache(
    request: AnyRequest, state: State, organisation: OrganisationName = None
) -> Sequence[CacheEntry]:
    """Answer with all that is kept."""
    return await _cache(state).entries(await within_asked(request, Action.READ, organisation))


@delete(
    "/cache",
    operation_id="prune_cache",
    action=Action.PRUNE_CACHE,
    summary="Give up what is kept",
    description="Answers with what is given up. No job starts from it any more; what a running "
    "job needs is removed when that has ended.",
    tags=["cache"],
    status_code=200,
    responses=problems(400, 404, 502, 503),
)
async def prune_cache(
    request: AnyRequest,
    state: State,
    older_than: Annotated[
        str,
        QueryParameter(
            description="Only what no job has used for so long: `7d`, `12h`, or seconds.",
            max_length=64,
            schema_extra={"pattern": DURATION_PATTERN},
        ),
    ] = "0",
    organisation: OrganisationName = None,
) -> Sequence[CacheEntry]:
    """Give up all, or what was not used lately."""
    try:
        seconds = parse_seconds(older_than)
    except ValueError as error:
        raise InvalidRequest(f"older_than: {error}") from error
    within = await within_asked(request, Action.PRUNE_CACHE, organisation)
    given_up = await _cache(state).prune(unused_for=seconds, within=within)
    found = f"{len(given_up)} given up, unused for {seconds:g} s or longer"
    concerned = next(iter(within)) if within is not None and len(within) == 1 else None
    await audit(request, AuditedAction.CACHE_PRUNE, organisation=concerned, detail=found)
    return given_up


def _cache(state: State) -> Cache:
    parts = parts_of(state)
    return Cache(parts.executor, parts.repository.snapshots, parts.signals, SystemClock())
