"""The tests that jobs ran: of one job, over many; and how much of the code they covered."""

from typing import Annotated
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import QueryParameter

from ci_common.access import Action
from ci_common.api import (
    CasesView,
    CoverageView,
    FlakyView,
    HistoryView,
    past_case_view,
    results_state,
)
from ci_common.results import CaseQuery, Outcome
from ci_server.access import within_asked
from ci_server.job_access import visible_job
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.jobs import JobReference
from ci_server.routes.openapi import problems

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
_MOST_OFFSET = 10**9
_LONGEST_TEXT = 1000

_Limit = Annotated[
    int, QueryParameter(ge=1, le=LARGEST_LIMIT, description="At most so many at once.")
]
_Project = Annotated[
    str | None, QueryParameter(max_length=200, description="Only jobs of this project.")
]


@get(
    "/jobs/{reference:str}/tests",
    operation_id="list_tests",
    action=Action.READ,
    summary="The tests of a job",
    description="In the order in which they ran, or the slowest first. `state` is `pending` until "
    'they are collected, shortly after `complete`. `Link: …; rel="next"` leads to the next page.',
    tags=["results"],
    responses=problems(400, 404, 409, 503),
)
async def list_tests(  # noqa: PLR0913, PLR0917 -- the parameters of its query
    request: Request[object, object, State],
    state: State,
    reference: JobReference,
    outcome: Annotated[
        list[Outcome] | None, QueryParameter(description="Only these; may be repeated.")
    ] = None,
    text: Annotated[
        str,
        QueryParameter(max_length=_LONGEST_TEXT, description="Part of the node id or message."),
    ] = "",
    slowest: Annotated[bool, QueryParameter(description="The slowest first.")] = False,
    limit: _Limit = DEFAULT_LIMIT,
    offset: Annotated[
        int, QueryParameter(ge=0, le=_MOST_OFFSET, description="How many are left out in front.")
    ] = 0,
) -> Response[CasesView]:
    """Answer with a page of a job's tests."""
    repository = parts_of(state).repository
    job = await visible_job(request, reference)
    query = CaseQuery(
        outcomes=tuple(outcome or ()),
        text=text,
        slowest=slowest,
        offset=offset,
        limit=limit + 1,
    )
    found = await repository.results.cases(job.id, query)
    view = CasesView(job_id=job.id, state=results_state(job), counts=job.tests, tests=found[:limit])
    more: list[tuple[str, object]] = [("outcome", each.value) for each in outcome or ()]
    more += [("text", text)] if text else []
    more += [("slowest", "true")] if slowest else []
    following = [*more, ("limit", limit), ("offset", offset + limit)]
    return Response(view, headers=_next(request, following) if len(found) > limit else {})


@get(
    "/jobs/{reference:str}/coverage",
    operation_id="get_coverage",
    action=Action.READ,
    summary="How much of the code a job's tests ran",
    description="From `coverage.xml` (Cobertura), from what the project declares, or the total "
    "that pytest-cov printed. `null` when there is none.",
    tags=["results"],
    responses=problems(400, 404, 409, 503),
)
async def get_coverage(
    request: Request[object, object, State], reference: JobReference
) -> CoverageView:
    """Answer with a job's coverage."""
    job = await visible_job(request, reference)
    return CoverageView(job_id=job.id, state=results_state(job), coverage=job.coverage)


@get(
    "/tests/history",
    operation_id="get_test_history",
    action=Action.READ,
    summary="How a test ended, job by job",
    description="The newest job first.",
    tags=["results"],
    responses=problems(400, 404, 503),
)
async def get_test_history(
    request: Request[object, object, State],
    state: State,
    test: Annotated[
        str,
        QueryParameter(
            min_length=1, max_length=_LONGEST_TEXT, description="A node id, as in `list_tests`."
        ),
    ],
    project: _Project = None,
    limit: _Limit = DEFAULT_LIMIT,
    cursor: Annotated[
        int | None, QueryParameter(ge=1, description="Where the page before ended, from its Link.")
    ] = None,
    organisation: OrganisationName = None,
) -> Response[HistoryView]:
    """Answer with a page of a test's past."""
    results = parts_of(state).repository.results
    within = await within_asked(request, Action.READ, organisation)
    found = await results.history(
        test, project=project, limit=limit + 1, before=cursor, within=within
    )
    page = found[:limit]
    headers = {}
    if len(found) > limit:
        query: list[tuple[str, object]] = [("test", test)]
        query += [] if project is None else [("project", project)]
        query += [("organisation", organisation)] if organisation else []
        headers = _next(request, [*query, ("limit", limit), ("cursor", page[-1].seq)])
    return Response(HistoryView(test=test, runs=[*map(past_case_view, page)]), headers=headers)


@get(
    "/tests/flaky",
    operation_id="list_flaky_tests",
    action=Action.READ,
    summary="Tests that cannot be relied upon",
    description="Those that passed and failed on the same files in the same image. The one that "
    "failed last comes first. Jobs of different organisations are never compared.",
    tags=["results"],
    responses=problems(400, 404, 503),
)
async def list_flaky_tests(
    request: Request[object, object, State],
    state: State,
    project: _Project = None,
    limit: _Limit = DEFAULT_LIMIT,
    organisation: OrganisationName = None,
) -> FlakyView:
    """Answer with flaky tests."""
    results = parts_of(state).repository.results
    within = await within_asked(request, Action.READ, organisation)
    found = await results.flaky(project=project, limit=limit, within=within)
    return FlakyView(tests=found)


def _next(
    request: Request[object, object, State], query: list[tuple[str, object]]
) -> dict[str, str]:
    return {"Link": f'<{request.url.path}?{urlencode(query)}>; rel="next"'}
