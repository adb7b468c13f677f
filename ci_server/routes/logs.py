"""A job's log as plain text, whole or in part."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Annotated, Any

from litestar import Request, Response, get, head
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.response import Stream

from ci_common.access import Action
from ci_common.errors import RangeNotSatisfiable
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job
from ci_common.logs import LogReader
from ci_server.job_access import visible_job
from ci_server.parts import parts_of
from ci_server.problems import problem_response
from ci_server.ranges import resolve_range
from ci_server.routes.jobs import JobReference
from ci_server.routes.openapi import problems

READ_SIZE = 256 * 1024
"""Bytes read at once, in a thread: an old log may have to come from the disk."""

TEXT = "text/plain"
"""Litestar adds the charset."""

_RangeHeader = Annotated[
    str | None,
    HeaderParameter(name="Range", description="One range: `bytes=0-99`, `bytes=-4096`, …"),
]
_IfRange = Annotated[str | None, HeaderParameter(name="If-Range", include_in_schema=False)]

_LOG_ANSWERS = {
    status: ResponseSpec(
        data_container=str, description=meaning, media_type="text/plain", generate_examples=False
    )
    for status, meaning in (
        (200, "The log as it is now, byte for byte."),
        (206, "The bytes asked for; `Content-Range` says which."),
    )
}

_LENGTH = ResponseSpec(data_container=None, description="`Content-Length` is the log's length.")


@get(
    "/jobs/{reference:str}/log",
    operation_id="get_log",
    action=Action.READ,
    summary="A job's log as text",
    tags=["jobs"],
    responses=_LOG_ANSWERS | problems(400, 404, 409, 416, 503),
)
async def get_log(
    request: Request[Any, Any, Any],
    state: State,
    reference: JobReference,
    range_header: _RangeHeader = None,
    if_range: _IfRange = None,
) -> Response[Any]:
    """Answer with the log's bytes."""
    repository = parts_of(state).repository
    log = await _open_log(repository, await visible_job(request, reference))
    size = log.size if log else 0
    try:
        # A log has no validator, so a conditional range can never be known to hold.
        part = resolve_range(None if if_range else range_header, size)
    except RangeNotSatisfiable as error:
        answer = problem_response(request, error)
        answer.headers["Content-Range"] = f"bytes */{size}"
        return answer
    span = range(size) if part is None else part
    return Stream(
        _content(log, span),
        status_code=200 if part is None else 206,
        media_type=TEXT,
        headers=_headers(span, size, partial=part is not None),
    )


@head(
    "/jobs/{reference:str}/log",
    operation_id="head_log",
    action=Action.READ,
    summary="How long a job's log is",
    tags=["jobs"],
    responses={200: _LENGTH} | problems(400, 404, 409, 503),
)
async def head_log(
    request: Request[Any, Any, Any], state: State, reference: JobReference
) -> Response[None]:
    """Answer as the whole log would be, without it."""
    job = await visible_job(request, reference)
    size = parts_of(state).repository.logs.size(job.id)
    return Response(None, media_type=TEXT, headers=_headers(range(size), size, partial=False))


def _headers(span: range, size: int, *, partial: bool) -> dict[str, str]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Length": str(len(span)),
        # What a project prints must not become a page of this server.
        "X-Content-Type-Options": "nosniff",
    }
    if partial:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return headers


async def _open_log(repository: JobRepository, job: Job) -> LogReader | None:
    """Hold a job's log open, so that it can be sent whole; None if it has none.

    Raises:
        JobNotFound: it has just been removed.

    """
    log = repository.logs.open_reader(job.id)
    if log is None:
        await repository.get(job.id)  # it may have been removed just now
    return log


async def _content(log: LogReader | None, span: range) -> AsyncGenerator[bytes, None]:
    if log is None:
        return
    with closing(log):
        offset = span.start
        while offset < span.stop:
            wanted = min(READ_SIZE, span.stop - offset)
            data = await asyncio.to_thread(log.read, offset, wanted)
            if not data:
                return
            offset += len(data)
            yield data
