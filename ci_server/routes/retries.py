"""Running jobs again."""

from typing import Annotated, Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import Body

from ci_common.access import Action
from ci_common.api import JobView, RetryRequest
from ci_common.audit import AuditedAction
from ci_common.job_options import read_options
from ci_server.access import actor_of
from ci_server.audit import audit
from ci_server.job_access import permitted_job, shown_job
from ci_server.parts import parts_of
from ci_server.routes.jobs import JobReference
from ci_server.routes.openapi import RetryOperation, problems
from ci_server.submissions import idempotency_key


@post(
    "/jobs/{reference:str}/retry",
    operation_id="retry_job",
    action=Action.SUBMIT,
    summary="Run a job again",
    description="Queues a new job of the same project and with the same options, but for those "
    "that the body names; `retry_of` says of which job. The project of a job is kept for a while "
    "after its end; later there is nothing to run: `410`. With `failed_only` only the tests that "
    "failed are run, if the job ran pytest and its results are known. A job that has not ended is "
    "refused: `409`.",
    tags=["jobs"],
    status_code=201,
    operation_class=RetryOperation,
    responses=problems(400, 404, 409, 410, 422, 503, 507),
)
async def retry_job(
    request: Request[Any, Any, Any],
    state: State,
    reference: JobReference,
    data: Annotated[RetryRequest | None, Body(description="What is to be otherwise.")] = None,
) -> Response[JobView]:
    """Queue a job again; answer with the new one."""
    parts, asked = parts_of(state), data or RetryRequest()
    retried = await permitted_job(request, reference, Action.SUBMIT)
    job = await parts.retries.retry(
        retried.id,
        read_options(asked.options),
        failed_only=asked.failed_only,
        key=idempotency_key(request),
        submitter=actor_of(request).name,
    )
    await audit(
        request,
        AuditedAction.JOB_RETRY,
        job.id,
        organisation=job.organisation,
        detail=f"of {job.retry_of}",
    )
    location = f"{request.url.path.partition('/jobs/')[0]}/jobs/{job.id}"
    position = await parts.repository.queue_position(job.id)
    return Response(
        await shown_job(parts, job, position), status_code=201, headers={"Location": location}
    )
