"""What organisations have of what they may have."""

from litestar import get
from litestar.datastructures import State

from ci_common.access import Action, OfOrganisation
from ci_common.api.usage import UsageView, usage_view
from ci_server.access import require
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems
from ci_server.routes.organisations import OrganisationName, visible_organisation


@get(
    "/organisations/{organisation:str}/usage",
    action=Action.READ_MEMBERS,
    operation_id="get_usage",
    summary="What an organisation has, and may have",
    description="Jobs that run and wait, bytes of projects and artifacts that are kept, and the "
    "quotas of each: its own, or the server's; null for none.",
    tags=["accounts"],
    responses=problems(400, 404, 503),
)
async def get_usage(request: AnyRequest, state: State, organisation: OrganisationName) -> UsageView:
    """Answer with an organisation's usage."""
    found = await visible_organisation(request, state, organisation)
    require(request, Action.READ_MEMBERS, OfOrganisation(found.id))
    store = parts_of(state).quotas
    quotas = await store.quotas((found.id,))
    return usage_view(found.name, await store.usage(found.id), quotas[found.id])
