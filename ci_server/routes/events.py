"""What happens to all jobs: as it happens, or page by page."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter

from ci_common.api import QUEUE_DEPTH, EventHistory, event_view
from ci_common.errors import InvalidRequest
from ci_common.job_events import EventFilter, EventType
from ci_server.event_reader import EventReader, Placed, Selection, gap_in
from ci_server.parts import parts_of
from ci_server.routes.openapi import OperationAtRoot, live_stream, problems
from ci_server.sse import EventStream

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000

_LONGEST_SEQ = 18
_LONGEST_TEXT = 200

_JobId = Annotated[
    str | None,
    QueryParameter(description="Only of the job with this full id.", max_length=64),
]
_Project = Annotated[
    str | None, QueryParameter(description="Only of this project.", max_length=_LONGEST_TEXT)
]
_Submitter = Annotated[
    str | None, QueryParameter(description="Only of this submitter.", max_length=_LONGEST_TEXT)
]
_Types = Annotated[
    list[str] | None,
    QueryParameter(
        name="type",
        description="Only these types, repeated or with commas: "
        + ", ".join(f"`{kind}`" for kind in EventType)
        + f"; `{QUEUE_DEPTH}` comes only if it is named.",
    ),
]


class LiveStream(EventStream[Placed]):
    """The stream of all jobs. A class of its own, as the framework knows no generic ones."""


@get(
    "/events",
    operation_id="stream_events",
    summary="Follow what happens to jobs",
    description="A stream without an end. First comes `subscribed`, then each change of a job "
    "with its sequence number as the id. `Last-Event-ID` (or `after`) goes on exactly behind it; "
    "`gap` says that something in between is not kept any more. `queue.depth` says how many jobs "
    "wait and run, first at once and then when that changes. A WebSocket at the same address "
    "takes several subscriptions, also to logs.",
    tags=["events"],
    include_in_schema=True,
    operation_class=OperationAtRoot,
    responses=live_stream("What happens, as it happens.") | problems(400, 503),
)
async def stream_events(
    state: State,
    job_id: _JobId = None,
    project: _Project = None,
    submitter: _Submitter = None,
    types: _Types = None,
    after: Annotated[
        int | None,
        QueryParameter(
            ge=0,
            lt=10**_LONGEST_SEQ,
            description="Begin behind this sequence number; `0` for all that is kept. "
            "Default: from now on.",
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(name="Last-Event-ID", description="Resume after this event; wins."),
    ] = None,
) -> LiveStream:
    """Stream events from where the reader wants it."""
    parts = parts_of(state)
    selection = selection_of(job_id, project, submitter, types)
    wanted = _seq_of(last_event_id) if last_event_id else after
    if wanted is None:
        wanted = await parts.live.store.latest()
    reader = EventReader(parts.live, selection, wanted, shutdown=parts.shutdown)
    return LiveStream(
        reader.events(),
        encoded,
        shutdown=parts.shutdown,
        ping_interval=parts.settings.ping_interval,
    )


@get(
    "/events/history",
    operation_id="list_events",
    summary="What happened to jobs",
    description="What is kept, the oldest first. `next` is the `after` of the next page; asked "
    "again with it, the end of the list says what is new.",
    tags=["events"],
    include_in_schema=True,
    operation_class=OperationAtRoot,
    responses=problems(400, 503),
)
async def list_events(
    state: State,
    job_id: _JobId = None,
    project: _Project = None,
    submitter: _Submitter = None,
    types: _Types = None,
    after: Annotated[
        int, QueryParameter(ge=0, lt=10**_LONGEST_SEQ, description="Behind this sequence number.")
    ] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=LARGEST_LIMIT)] = DEFAULT_LIMIT,
) -> EventHistory:
    """Answer with a page of what is kept."""
    wanted = selection_of(job_id, project, submitter, types).jobs
    if wanted is None:
        raise InvalidRequest(
            f"type: {QUEUE_DEPTH} is not kept", hint="/ready says how many jobs wait and run."
        )
    page = await parts_of(state).live.store.after(after, limit=limit, wanted=wanted)
    return EventHistory(
        events=[event_view(event) for event in page.events],
        next=page.through,
        more=page.more,
        gap=gap_in(page, after),
    )


def selection_of(
    job_id: str | None,
    project: str | None,
    submitter: str | None,
    types: Sequence[str] | None,
) -> Selection:
    """Return what these parameters select; without types every change of a job.

    Raises:
        InvalidRequest: there is no such type.

    """
    named = {name.strip() for item in types or () for name in item.split(",") if name.strip()}
    depth = QUEUE_DEPTH in named
    named.discard(QUEUE_DEPTH)
    unknown = named - {kind.value for kind in EventType}
    if unknown:
        raise InvalidRequest(
            f"type: there is no event {min(unknown)[:40]!r}",
            hint=f"Types are {', '.join(EventType)} and {QUEUE_DEPTH}.",
        )
    if depth and not named:
        return Selection(jobs=None, depth=True)
    kinds = frozenset(map(EventType, named))
    wanted = EventFilter(job_id=job_id, project=project, submitter=submitter, types=kinds)
    return Selection(jobs=wanted, depth=depth)


def encoded(placed: Placed) -> bytes:
    """Return an event as it goes over the wire. An id alone moves on where readers resume."""
    place = b"" if placed.seq is None else b"id: %d\n" % placed.seq
    if placed.item is None:
        return place + b"\n"
    return b"%sdata: %s\n\n" % (place, msgspec.json.encode(placed.item))


def _seq_of(event_id: str) -> int:
    if not event_id.isascii() or not event_id.isdecimal() or len(event_id) > _LONGEST_SEQ:
        raise InvalidRequest(
            f"Last-Event-ID {event_id[:40]!r} is not the id of an event",
            hint="Send the id of the last event that arrived, or none.",
        )
    return int(event_id)
