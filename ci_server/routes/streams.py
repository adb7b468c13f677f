"""Watching a job: its log as it grows, and its verdict."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter

from ci_common.access import Action
from ci_common.errors import InvalidRequest
from ci_common.events import JobEvent
from ci_common.jobs import Job
from ci_server.access import lasting
from ci_server.authentication import AnyConnection
from ci_server.job_access import visible_job
from ci_server.job_query import AnyRequest
from ci_server.parts import parts_of
from ci_server.routes.jobs import JobReference
from ci_server.routes.openapi import event_stream, problems
from ci_server.sse import JobStream
from ci_server.streams import JobReader, Positioned, start_offset

_LONGEST_OFFSET = 18


@get(
    "/jobs/{reference:str}/stream",
    operation_id="stream_job",
    action=Action.READ,
    summary="Follow a job",
    description="A queued job's stream stays open and tells its position; a running one is "
    "followed; an ended one is replayed (`from_beginning=true`) or completes at once.",
    tags=["jobs"],
    responses=event_stream("The job's states, its log and the verdict.")
    | problems(400, 404, 409, 416, 503),
)
async def stream_job(
    request: AnyRequest,
    state: State,
    reference: JobReference,
    from_beginning: Annotated[
        bool,
        QueryParameter(description="Begin with the log's first byte, not with its present end."),
    ] = False,
    offset: Annotated[
        int | None,
        QueryParameter(
            ge=0,
            lt=10**_LONGEST_OFFSET,
            description="Begin at this byte.",
            schema_extra={"minimum": 0},  # which Litestar leaves out
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(
            name="Last-Event-ID",
            description="Resume after this event; wins over both.",
            schema_extra={"pattern": f"^[0-9]{{0,{_LONGEST_OFFSET}}}$"},
        ),
    ] = None,
) -> JobStream:
    """Stream a job from where the reader wants it."""
    parts = parts_of(state)
    # A reader that comes back repeats its first URL and adds what it has seen since.
    wanted = _offset_of(last_event_id) if last_event_id else offset
    job = await visible_job(request, reference)
    start = start_offset(job, parts.repository.logs, wanted, from_beginning=from_beginning)
    return watch(request, job, start)


def watch(
    connection: AnyConnection,
    job: Job,
    offset: int,
    *,
    action: Action = Action.READ,
    first: Positioned | None = None,
    only: tuple[type[JobEvent], ...] = (),
    headers: Mapping[str, str] | None = None,
) -> JobStream:
    """Return the stream of a job from ``offset``: ``first``, then its events, or ``only`` some.

    It ends soon when who asked may do ``action`` no more.
    """
    parts = parts_of(connection.app.state)
    reader = JobReader(
        job,
        offset,
        repository=parts.repository,
        signals=parts.signals,
        shutdown=parts.shutdown,
        outage=lambda: parts.outage.waiting,
    )
    return JobStream(
        _selected(reader, first, only),
        shutdown=parts.shutdown,
        ping_interval=parts.settings.ping_interval,
        lasts=lasting(connection, action, job.organisation),
        headers=headers,
    )


async def _selected(
    reader: JobReader, first: Positioned | None, only: tuple[type[JobEvent], ...]
) -> AsyncGenerator[Positioned, None]:
    if first is not None:
        yield first
    async with aclosing(reader.events()) as events:
        async for positioned in events:
            if not only or isinstance(positioned.event, only):
                yield positioned


def _offset_of(event_id: str) -> int:
    if not event_id.isascii() or not event_id.isdecimal() or len(event_id) > _LONGEST_OFFSET:
        raise InvalidRequest(
            f"Last-Event-ID {event_id[:40]!r} is not the id of an event of a job's stream",
            hint="Send the id of the last event that arrived, or none.",
        )
    return int(event_id)
