"""The queue: jobs that wait, and those that run."""

from typing import Annotated
from urllib.parse import urlencode

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import QueryParameter

from ci_common.access import Action
from ci_common.api import QueueView
from ci_server.access import within_asked
from ci_server.job_query import DEFAULT_LIMIT, AnyRequest, Limit, refuse_unknown
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems

_FARTHEST = 10**9


@get(
    "/queue",
    operation_id="get_queue",
    action=Action.READ,
    summary="The queue",
    description="The jobs that wait, in the order in which they take their turns, with their "
    "positions and when they are expected to start; and those that run. What is expected goes by "
    "the median of what the latest jobs of the project took (of all of its organisation, if it has "
    "none). Positions count all that wait; jobs of organisations that are not yours are not shown. "
    '`Link: …; rel="next"` leads to those farther back.',
    tags=["queue"],
    responses=problems(400, 404, 503),
)
async def get_queue(
    request: AnyRequest,
    state: State,
    limit: Limit = DEFAULT_LIMIT,
    skip: Annotated[
        int,
        QueryParameter(ge=0, le=_FARTHEST, description="How many at the front are left out."),
    ] = 0,
    organisation: OrganisationName = None,
) -> Response[QueueView]:
    """Answer with the queue."""
    refuse_unknown(request.query_params.keys(), ("limit", "skip", "organisation"))
    within = await within_asked(request, Action.READ, organisation)
    view = await parts_of(state).queue.view(limit=limit, skip=skip, within=within)
    following = skip + limit
    asked = {"limit": limit, "skip": following}
    query = urlencode(asked | ({"organisation": organisation} if organisation else {}))
    link = f'<{request.url.path}?{query}>; rel="next"'
    return Response(view, headers={"Link": link} if following < view.counts.queued else {})
