"""Submitting a project, and watching it or not."""

from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State

from ci_common.access import Action
from ci_common.api import JobAccepted
from ci_common.audit import AuditedAction
from ci_common.events import CompleteEvent, JobEvent, JobIdEvent, LogEvent
from ci_common.jobs import Job
from ci_server.access import actor_of, organisation_for
from ci_server.audit import audit
from ci_server.parts import parts_of
from ci_server.routes.openapi import SubmitOperation, event_stream, problems
from ci_server.routes.streams import watch
from ci_server.sse import JobStream
from ci_server.streams import Positioned

_REFUSALS = problems(400, 409, 413, 422, 503, 507)

_REST = "A client that disconnects does not stop its job; `Location` says where to find it."


@post(
    "/submit",
    operation_id="submit",
    action=Action.SUBMIT,
    summary="Submit a project and stream its log",
    description=f"Sends `log` events and then `complete`, nothing else. {_REST}",
    tags=["submissions"],
    status_code=200,
    request_max_body_size=None,
    operation_class=SubmitOperation,
    responses=event_stream("The log and the verdict.") | _REFUSALS,
)
async def submit(request: Request[Any, Any, Any], state: State) -> JobStream:
    """Take a project; stream its log and verdict."""
    job = await _accept(request, state)
    return _watch(request, job, only=(LogEvent, CompleteEvent))


@post(
    "/submit-stream",
    operation_id="submit_stream",
    action=Action.SUBMIT,
    summary="Submit a project and stream its id, states and log",
    description=f"Sends `job_id` first, so that others can watch too. {_REST}",
    tags=["submissions"],
    status_code=200,
    request_max_body_size=None,
    operation_class=SubmitOperation,
    responses=event_stream("The job's id, its states, its log and the verdict.") | _REFUSALS,
)
async def submit_stream(request: Request[Any, Any, Any], state: State) -> JobStream:
    """Take a project; stream its id and all that happens to it."""
    job = await _accept(request, state)
    return _watch(request, job, first=Positioned(0, JobIdEvent(job.id)))


@post(
    "/submit-async",
    operation_id="submit_async",
    action=Action.SUBMIT,
    summary="Submit a project and leave",
    description="Answers once the job is on disk: from then on it runs whatever happens.",
    tags=["submissions"],
    # Not 202: scripts written for the first version of this route check for 200.
    status_code=200,
    request_max_body_size=None,
    operation_class=SubmitOperation,
    responses=_REFUSALS,
)
async def submit_async(request: Request[Any, Any, Any], state: State) -> Response[JobAccepted]:
    """Take a project; answer with its job's id."""
    job = await _accept(request, state)
    return Response(JobAccepted(job.id), headers=_location(request, job))


async def _accept(request: Request[Any, Any, Any], state: State) -> Job:
    parts = parts_of(state)
    parts.shutdown.refuse_if_begun()
    organisation = await organisation_for(request, Action.SUBMIT)
    actor = actor_of(request)
    job = await parts.submissions.accept(
        request, organisation=organisation, submitter=actor.name, user_id=actor.user_id
    )
    await audit(request, AuditedAction.JOB_SUBMIT, job.id, organisation=organisation)
    return job


def _watch(
    request: Request[Any, Any, Any],
    job: Job,
    *,
    first: Positioned | None = None,
    only: tuple[type[JobEvent], ...] = (),
) -> JobStream:
    # Who may submit sees what becomes of this job, even by a key that is for nothing else.
    headers = _location(request, job)
    return watch(request, job, 0, action=Action.SUBMIT, first=first, only=only, headers=headers)


def _location(request: Request[Any, Any, Any], job: Job) -> dict[str, str]:
    mounted_at = request.url.path.rpartition("/")[0]
    return {"Location": f"{mounted_at}/jobs/{job.id}"}
