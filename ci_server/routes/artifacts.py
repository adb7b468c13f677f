"""The files that a job left: listed, one by one, or all as one archive."""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter
from litestar.response import Stream

from ci_common.access import Action
from ci_common.api import ArtifactsView, artifacts_view, results_state
from ci_common.artifacts import Artifact, ArtifactReader
from ci_common.errors import RangeNotSatisfiable, ResultNotFound
from ci_common.jobs import Job
from ci_common.results import ResultsState
from ci_server.job_access import visible_job
from ci_server.job_query import AnyRequest
from ci_server.parts import Parts, parts_of
from ci_server.problems import problem_response
from ci_server.ranges import resolve_range
from ci_server.routes.jobs import JobReference
from ci_server.routes.openapi import problems

_BLOCK = 256 * 1024
_GZIP = 31
_FAST = 1
_BINARY = "application/octet-stream"

_LONGEST_PATH = 1000
_Path = Annotated[
    str,
    PathParameter(
        description="The file's path, as it is listed.",
        max_length=_LONGEST_PATH + 1,  # the framework hands it over with the slash before it
        schema_extra={"maxLength": _LONGEST_PATH},
    ),
]
_RangeHeader = Annotated[
    str | None,
    HeaderParameter(name="Range", description="One range: `bytes=0-99`, `bytes=-4096`, …"),
]
_IfRange = Annotated[str | None, HeaderParameter(name="If-Range", include_in_schema=False)]
_IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", include_in_schema=False)]


def _bytes(media_type: str, **meanings: str) -> dict[int, ResponseSpec]:
    return {
        int(status.removeprefix("_")): ResponseSpec(
            data_container=bytes,
            description=meaning,
            media_type=media_type,
            generate_examples=False,
        )
        for status, meaning in meanings.items()
    }


@get(
    "/jobs/{reference:str}/artifacts",
    operation_id="list_artifacts",
    action=Action.READ,
    summary="The files a job left",
    description="`state` is `pending` until the job has ended and its files are copied out of its "
    "container, shortly after `complete`; then `collected`. `none`: it declared none. `lost`: its "
    "container was gone before. `left_out` says what was not kept, and why.",
    tags=["results"],
    responses=problems(400, 404, 409, 503),
)
async def list_artifacts(
    request: AnyRequest, state: State, reference: JobReference
) -> ArtifactsView:
    """Answer with a job's artifacts."""
    repository = parts_of(state).repository
    job = await visible_job(request, reference)
    files = await repository.results.artifacts(job.id)
    return artifacts_view(job, files, await repository.results.left_out(job.id))


@get(
    "/jobs/{reference:str}/artifacts/{path:path}",
    operation_id="get_artifact",
    action=Action.READ,
    summary="One of the files a job left",
    tags=["results"],
    responses=_bytes(_BINARY, _200="The file.", _206="The bytes asked for.")
    | {304: ResponseSpec(None, description="It is what `If-None-Match` names.")}
    | problems(400, 404, 409, 416, 503),
)
async def get_artifact(
    request: Request[Any, Any, Any],
    state: State,
    reference: JobReference,
    path: _Path,
    range_header: _RangeHeader = None,
    if_range: _IfRange = None,
    if_none_match: _IfNoneMatch = None,
) -> Response[Any]:
    """Answer with the bytes of an artifact, whole or in part."""
    parts = parts_of(state)
    job = await visible_job(request, reference)
    artifact = await _find(parts, job, path.removeprefix("/"))
    headers = _headers(artifact.path.rpartition("/")[2]) | {
        "Accept-Ranges": "bytes",
        "ETag": f'"{artifact.sha256}"',
    }
    if if_none_match and (if_none_match.strip() == "*" or headers["ETag"] in if_none_match):
        return Response(None, status_code=304, headers=headers)
    wanted = range_header if if_range in (None, headers["ETag"]) else None
    try:
        part = resolve_range(wanted, artifact.size, what="file")
    except RangeNotSatisfiable as error:
        answer = problem_response(request, error)
        answer.headers["Content-Range"] = f"bytes */{artifact.size}"
        return answer
    span = range(artifact.size) if part is None else part
    headers["Content-Length"] = str(len(span))
    if part is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{artifact.size}"
    content = _content(_open(parts, job), artifact.offset + span.start, artifact.offset + span.stop)
    status = 200 if part is None else 206
    return Stream(content, status_code=status, media_type=_BINARY, headers=headers)


@get(
    "/jobs/{reference:str}/artifacts.tar.gz",
    operation_id="get_artifacts_archive",
    action=Action.READ,
    summary="All files a job left, as one archive",
    tags=["results"],
    responses=_bytes("application/gzip", _200="A gzipped tar.") | problems(400, 404, 409, 503),
)
async def get_artifacts_archive(
    request: AnyRequest, state: State, reference: JobReference
) -> Response[Any]:
    """Answer with all artifacts of a job, compressed on the way."""
    parts = parts_of(state)
    job = await visible_job(request, reference)
    if not await parts.repository.results.artifacts(job.id):
        raise _nothing(job, "artifacts")
    tar = _open(parts, job)
    return Stream(
        _gzipped(_content(tar, 0, tar.size)),
        status_code=200,
        media_type="application/gzip",
        headers=_headers(f"{job.id}.tar.gz"),
    )


async def _find(parts: Parts, job: Job, path: str) -> Artifact:
    for artifact in await parts.repository.results.artifacts(job.id):
        if artifact.path == path:
            return artifact
    raise _nothing(job, f"artifact {path[:200]!r}")


def _nothing(job: Job, what: str) -> ResultNotFound:
    pending = results_state(job) == ResultsState.PENDING
    hint = (
        "It is not collected yet; try again shortly."
        if pending
        else f"ci artifacts ls {job.id} shows what there is."
    )
    return ResultNotFound(f"job {job.id} has no {what}{' yet' if pending else ''}", hint=hint)


def _open(parts: Parts, job: Job) -> ArtifactReader:
    tar = parts.repository.artifacts.open_reader(job.id)
    if tar is None:
        raise ResultNotFound(f"the artifacts of job {job.id} were removed")
    return tar


def _headers(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        # What a project makes must not become a page of this server.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-cache",
    }


async def _content(tar: ArtifactReader, offset: int, end: int) -> AsyncGenerator[bytes, None]:
    with closing(tar):
        while offset < end:
            data = await asyncio.to_thread(tar.read, offset, min(_BLOCK, end - offset))
            if not data:
                return
            offset += len(data)
            yield data


async def _gzipped(content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    packing = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    async for data in content:
        if packed := await asyncio.to_thread(packing.compress, data):
            yield packed
    yield packing.flush()
