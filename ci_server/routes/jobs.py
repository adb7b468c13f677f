"""Jobs as data: one, or a list of them."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Response, delete, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter

from ci_common.access import Action
from ci_common.api import JobView
from ci_common.audit import AuditedAction
from ci_common.jobs import JobStatus
from ci_server.access import within_asked
from ci_server.audit import audit
from ci_server.job_access import permitted_job, shown_job, shown_jobs, visible_job
from ci_server.job_query import AnyRequest, AskedList, asked_filter, asked_list
from ci_server.organisation_filter import OrganisationName
from ci_server.parts import parts_of
from ci_server.routes.openapi import problems

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
    action=Action.READ,
    summary="One job",
    description="`position` is the place in the queue while the job is queued, "
    "`expected_start` an estimate or null; `waiting` says what keeps the job from going on, other "
    "than its turn.",
    tags=["jobs"],
    responses=problems(400, 404, 409, 503),
)
async def get_job(request: AnyRequest, state: State, reference: JobReference) -> JobView:
    """Answer with a job's state."""
    parts = parts_of(state)
    job = await visible_job(request, reference)
    queued = job.status is JobStatus.QUEUED
    position = await parts.repository.queue_position(job.id) if queued else None
    start = await parts.queue.expected_start(job) if queued else None
    waiting = await parts.queue.waiting(job) if queued else parts.outage.waiting
    return await shown_job(parts, job, position, waiting, start)


@get(
    "/jobs",
    operation_id="list_jobs",
    action=Action.READ,
    summary="Jobs, newest first",
    description="Those that fit all filters that are given. A filter that takes several values is "
    'given several times. `Link: …; rel="next"` leads to the next page; a page may be short, even '
    "empty, before the last one. `position`, `expected_start` and `waiting` are left out here.",
    tags=["jobs"],
    dependencies={
        "filtered": Provide(asked_filter, sync_to_thread=False),
        "asked": Provide(asked_list, sync_to_thread=False),
    },
    responses=problems(400, 404, 503),
)
async def list_jobs(
    request: AnyRequest,
    state: State,
    asked: NamedDependency[AskedList],
    organisation: OrganisationName = None,
) -> Response[Sequence[JobView]]:
    """Answer with a page of jobs."""
    parts = parts_of(state)
    limit = await within_asked(request, Action.READ, organisation)
    page = await parts.repository.list_jobs(asked.within(limit))
    links = asked.links(page.next)
    shown = await shown_jobs(parts, page.jobs)
    return Response(shown, headers={"Link": links} if links else {})


@delete(
    "/jobs/{reference:str}",
    operation_id="cancel_job",
    action=Action.CANCEL,
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
async def cancel_job(
    request: AnyRequest, state: State, reference: JobReference
) -> Response[JobView]:
    """Cancel a job; tell whether it is stopped or the stop is only asked for."""
    parts = parts_of(state)
    found = await permitted_job(request, reference, Action.CANCEL)
    job = await parts.control.cancel(found.id)
    await audit(request, AuditedAction.JOB_CANCEL, job.id, organisation=job.organisation)
    return Response(await shown_job(parts, job), status_code=200 if job.status.ended else 202)
