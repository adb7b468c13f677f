"""Jobs as data: one, or the newest."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from litestar import Request, Response, delete, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from ci_common.api import JobView, job_view
from ci_common.jobs import JobStatus
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000

JobReference = Annotated[
    str,
    PathParameter(
        description="A job's id, the beginning of one that fits no other, or `last`.",
        max_length=64,
    ),
]


@get(
    "/jobs/{reference:str}",
    operation_id="get_job",
    summary="One job",
    description="`position` is the place in the queue while the job is queued; `waiting` says "
    "what keeps the job from going on, other than its turn.",
    tags=["jobs"],
    responses=problems(400, 404, 409, 503),
)
async def get_job(state: State, reference: JobReference) -> JobView:
    """Answer with a job's state."""
    parts = parts_of(state)
    job = await parts.repository.find(reference)
    queued = job.status is JobStatus.QUEUED
    position = await parts.repository.queue_position(job.id) if queued else None
    return job_view(job, position, parts.outage.waiting)


@get(
    "/jobs",
    operation_id="list_jobs",
    summary="Jobs, newest first",
    description='`Link: …; rel="next"` leads to older ones. `position` is left out here.',
    tags=["jobs"],
    responses=problems(400, 503),
)
async def list_jobs(
    request: Request[object, object, State],
    state: State,
    limit: Annotated[
        int, QueryParameter(ge=1, le=LARGEST_LIMIT, description="At most so many.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        int | None, QueryParameter(ge=1, description="Where the page before ended, from its Link.")
    ] = None,
) -> Response[Sequence[JobView]]:
    """Answer with a page of jobs."""
    found = await parts_of(state).repository.list_recent(limit=limit + 1, before=cursor)
    page = found[:limit]
    headers = {}
    if len(found) > limit:
        query = urlencode({"limit": limit, "cursor": page[-1].seq})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response([job_view(job) for job in page], headers=headers)


@delete(
    "/jobs/{reference:str}",
    operation_id="cancel_job",
    summary="Cancel a job",
    description="A queued job is cancelled at once: `200`. A running one is asked to end (SIGTERM, "
    "then SIGKILL): `202`, and it is stopped when its `status` is `cancelled` or its stream says "
    "`complete`. Doing it again changes nothing. A job that has ended otherwise is refused: `409`.",
    tags=["jobs"],
    status_code=202,
    responses={
        200: ResponseSpec(JobView, description="It is cancelled.", generate_examples=False),
    }
    | problems(400, 404, 409, 503),
)
async def cancel_job(state: State, reference: JobReference) -> Response[JobView]:
    """Cancel a job; tell whether it is stopped or the stop is only asked for."""
    job = await parts_of(state).control.cancel(reference)
    return Response(job_view(job), status_code=200 if job.status.ended else 202)
