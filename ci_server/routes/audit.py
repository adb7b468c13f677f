"""The audit log: who did what, from where."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import QueryParameter

from ci_common.access import Action
from ci_common.api.audit import AuditEntryView, audit_entry_view
from ci_common.audit import Outcome
from ci_common.clock import SystemClock
from ci_server.access import within_asked
from ci_server.audit_query import ACTION_NAMES, LONGEST_NAME, asked_entries
from ci_server.job_query import TIME, AnyRequest, Limit, refuse_unknown
from ci_server.organisation_filter import OrganisationName
from ci_server.organisations import organisation_names
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems

_DEFAULT_LIMIT = 100
_FILTERS = ("since", "until", "actor", "action", "outcome", "organisation")
_KNOWN = (*_FILTERS, "limit", "cursor")


@get(
    "/audit",
    operation_id="list_audit",
    action=Action.READ_AUDIT,
    summary="The audit log, newest first",
    description="Who did what, from where. An organisation's admin sees what concerns it, a "
    'server admin all. `Link: …; rel="next"` leads to older entries.',
    tags=["audit"],
    responses=problems(400, 404, 503),
)
async def list_audit(  # noqa: PLR0913, PLR0917 -- one for each query parameter
    request: AnyRequest,
    state: State,
    since: Annotated[
        str | None, QueryParameter(description=f"Written then or later: {TIME}.")
    ] = None,
    until: Annotated[str | None, QueryParameter(description=f"Written before: {TIME}.")] = None,
    actor: Annotated[
        str | None,
        QueryParameter(max_length=LONGEST_NAME, description="A user's name or id."),
    ] = None,
    action: Annotated[
        str | None,
        QueryParameter(
            max_length=LONGEST_NAME,
            description="What was done: `key.revoke`, or `key` for all that concerns keys.",
            schema_extra={"enum": ACTION_NAMES},
        ),
    ] = None,
    outcome: Annotated[
        Outcome | None, QueryParameter(description="What was done, or what was refused.")
    ] = None,
    organisation: OrganisationName = None,
    limit: Limit = _DEFAULT_LIMIT,
    cursor: Annotated[
        int | None,
        QueryParameter(
            ge=1, le=2**63 - 1, description="Where the page before ended, from its Link."
        ),
    ] = None,
) -> Response[Sequence[AuditEntryView]]:
    """Answer with a page of the audit log."""
    given = [(name, str(value)) for name, value in request.query_params.multi_items()]
    refuse_unknown({name for name, _ in given}, _KNOWN)
    wanted = asked_entries(
        since=since,
        until=until,
        actor=actor,
        action=action,
        outcome=outcome,
        now=SystemClock().now().wall,
    )
    within = await within_asked(request, Action.READ_AUDIT, organisation)
    parts = parts_of(state)
    found = await parts.audit.entries(
        replace(wanted, within=within), limit=limit + 1, before=cursor
    )
    page = found[:limit]
    names = await organisation_names(parts.accounts, {each.entry.organisation for each in page})
    headers = {}
    if len(found) > limit:
        filters = [pair for pair in given if pair[0] in _FILTERS]
        query = urlencode([("limit", str(limit)), *filters, ("cursor", str(page[-1].seq))])
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    views = [audit_entry_view(each, names[each.entry.organisation]) for each in page]
    return Response(views, headers=headers)
