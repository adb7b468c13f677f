"""What happens to all jobs: as it happens, or page by page."""

import re
from typing import Annotated, Any

import msgspec
from litestar import WebSocket, get, websocket
from litestar.datastructures import State
from litestar.exceptions import PermissionDeniedException
from litestar.params import HeaderParameter, QueryParameter

from ci_common.access import Action
from ci_common.api import QUEUE_DEPTH, EventHistory, event_view
from ci_common.errors import InvalidRequest
from ci_common.job_events import EventType
from ci_server.access import lasting, within_asked
from ci_server.event_reader import EventReader, Placed, gap_in
from ci_server.event_selection import selection_of
from ci_server.event_socket import EventSocket
from ci_server.handshakes import refuse_handshake
from ci_server.job_query import AnyRequest
from ci_server.organisation_filter import OrganisationName
from ci_server.origins import refuse_foreign_socket
from ci_server.parts import parts_of
from ci_server.routes.openapi import live_stream, problems
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


def _several(*types: str) -> QueryParameter:
    """Return the parameter for some of these types."""
    one = rf"\s*({'|'.join(map(re.escape, types))})?\s*"
    return QueryParameter(
        name="type",
        description="Only these types, repeated or with commas: "
        + ", ".join(f"`{name}`" for name in types),
        schema_extra={"items": {"type": "string", "pattern": f"^{one}(,{one})*$"}},
    )


_Types = Annotated[list[str] | None, _several(*EventType, QUEUE_DEPTH)]
_KeptTypes = Annotated[list[str] | None, _several(*EventType)]


class LiveStream(EventStream[Placed]):
    """The stream of all jobs. A class of its own, as the framework knows no generic ones."""


@get(
    "/events",
    operation_id="stream_events",
    action=Action.READ,
    summary="Follow what happens to jobs",
    description="A stream without an end. First comes `subscribed`, then each change of a job "
    "with its sequence number as the id. `Last-Event-ID` (or `after`) goes on exactly behind it; "
    "`gap` says that something in between is not kept any more. `queue.depth` says how many jobs "
    "wait and run, first at once and then when that changes. A WebSocket at the same address "
    "takes several subscriptions, also to logs.",
    tags=["events"],
    responses=live_stream("What happens, as it happens.") | problems(400, 404, 503),
)
async def stream_events(  # noqa: PLR0913, PLR0917 -- the parameters of its query
    request: AnyRequest,
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
            schema_extra={"minimum": 0},  # which Litestar leaves out
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(
            name="Last-Event-ID",
            description="Resume after this event; wins.",
            schema_extra={"pattern": f"^[0-9]{{0,{_LONGEST_SEQ}}}$"},
        ),
    ] = None,
    organisation: OrganisationName = None,
) -> LiveStream:
    """Stream events from where the reader wants it."""
    parts = parts_of(state)
    within = await within_asked(request, Action.READ, organisation)
    selection = selection_of(job_id, project, submitter, types, within)
    wanted = _seq_of(last_event_id) if last_event_id else after
    if wanted is None:
        wanted = await parts.live.store.latest()
    reader = EventReader(parts.live, selection, wanted, shutdown=parts.shutdown)
    return LiveStream(
        reader.events(),
        encoded,
        shutdown=parts.shutdown,
        ping_interval=parts.settings.ping_interval,
        lasts=lasting(request, Action.READ),
    )


@get(
    "/events/history",
    operation_id="list_events",
    action=Action.READ,
    summary="What happened to jobs",
    description="What is kept, the oldest first. `next` is the `after` of the next page; asked "
    "again with it, the end of the list says what is new.",
    tags=["events"],
    responses=problems(400, 404, 503),
)
async def list_events(  # noqa: PLR0913, PLR0917 -- the parameters of its query
    request: AnyRequest,
    state: State,
    job_id: _JobId = None,
    project: _Project = None,
    submitter: _Submitter = None,
    types: _KeptTypes = None,
    after: Annotated[
        int, QueryParameter(ge=0, lt=10**_LONGEST_SEQ, description="Behind this sequence number.")
    ] = 0,
    limit: Annotated[
        int, QueryParameter(ge=1, le=LARGEST_LIMIT, description="At most so many on a page.")
    ] = DEFAULT_LIMIT,
    organisation: OrganisationName = None,
) -> EventHistory:
    """Answer with a page of what is kept."""
    within = await within_asked(request, Action.READ, organisation)
    selection = selection_of(job_id, project, submitter, types, within)
    if selection.depth or selection.jobs is None:
        raise InvalidRequest(
            f"type: {QUEUE_DEPTH} is not kept", hint="/ready says how many jobs wait and run."
        )
    page = await parts_of(state).live.store.after(after, limit=limit, wanted=selection.jobs)
    return EventHistory(
        events=[event_view(event) for event in page.events],
        next=page.through,
        more=page.more,
        gap=gap_in(page, after),
    )


@websocket("/events", action=Action.READ)
async def listen(socket: WebSocket[Any, Any, Any]) -> None:
    """Take subscriptions over a WebSocket."""
    try:
        refuse_foreign_socket(socket)
    except PermissionDeniedException as refusal:
        await refuse_handshake(socket.scope, socket.send, refusal)
    else:
        await EventSocket(socket, parts_of(socket.app.state)).serve()


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
