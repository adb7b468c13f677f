"""What clients say over a WebSocket, and what each subscription answers with.

Messages are JSON objects with a ``type``. Those that belong to a subscription
also carry its ``id``, which is added by whoever sends them.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from ci_common.access import Within
from ci_common.api import EventsFollowed, EventsGap
from ci_common.errors import InvalidRequest, JobNotFound
from ci_common.events import CompleteEvent
from ci_server.event_reader import EventReader, Placed
from ci_server.event_selection import Selection, selection_of
from ci_server.parts import Parts
from ci_server.streams import JobReader, start_offset

Id = str | int
"""What a client calls a subscription."""

Message = Mapping[str, Any]

_LONGEST_TEXT = 200
_LARGEST_NUMBER = 10**18


class Command(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client asks for: exactly one of ``subscribe``, ``unsubscribe`` and ``ping``.

    The rest belongs to ``subscribe``; for what is said there see the parameters
    of the streams over HTTP. ``ping`` is anything, and comes back as it is.
    """

    id: Id | None = None
    subscribe: Literal["jobs", "queue", "log"] | None = None
    job_id: str | None = None
    project: str | None = None
    submitter: str | None = None
    organisation: str | None = None
    type: str | list[str] | None = None
    after: int | None = None
    offset: int | None = None
    unsubscribe: Id | None = None
    ping: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_PARAMETERS: Mapping[str, frozenset[str]] = {
    "jobs": frozenset({"job_id", "project", "submitter", "organisation", "type", "after"}),
    "queue": frozenset({"organisation"}),
    "log": frozenset({"job_id", "offset"}),
}
_ALL_PARAMETERS = frozenset().union(*_PARAMETERS.values())
_decoder = msgspec.json.Decoder(Command)


def decode_command(text: str) -> Command:
    """Return the command in a message.

    Raises:
        InvalidRequest: it is none; the text names the field.

    """
    try:
        command = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidRequest(
            f"this is no command: {error}",
            hint='Send a JSON object such as {"id": "a", "subscribe": "jobs"}.',
        ) from None
    _check_verb(command)
    _check_parameters(command)
    return command


def messages_of(
    command: Command, parts: Parts, within: Within = None
) -> AsyncGenerator[Message, None]:
    """Return the messages of a subscription: ``subscribed`` first.

    They end with the job of a log, or when the server shuts down. They raise
    ``CIError`` when they cannot go on. Jobs of other organisations than ``within``
    do not exist for them.

    Raises:
        InvalidRequest: there is no such type of event.

    """
    if command.subscribe == "log":
        return _log(command.job_id or "", command.offset or 0, parts, within)
    if command.subscribe == "queue":
        return _queue(parts, within)
    types = [command.type] if isinstance(command.type, str) else command.type
    selection = selection_of(command.job_id, command.project, command.submitter, types, within)
    return _jobs(selection, command.after, parts)


def _check_verb(command: Command) -> None:
    said = (
        command.subscribe is not None,
        command.unsubscribe is not None,
        command.ping is not msgspec.UNSET,
    )
    if sum(said) != 1:
        raise InvalidRequest("a command is exactly one of subscribe, unsubscribe and ping")


def _check_parameters(command: Command) -> None:
    allowed = _PARAMETERS.get(command.subscribe or "", frozenset())
    for name in sorted(_ALL_PARAMETERS):
        value = getattr(command, name)
        if value is None:
            continue
        if name not in allowed:
            raise InvalidRequest(f"{name}: it does not belong to this command")
        if isinstance(value, int) and not 0 <= value < _LARGEST_NUMBER:
            raise InvalidRequest(f"{name}: it is a number from 0 on")
    texts = {"id": command.id, "job_id": command.job_id}
    for name, text in texts.items():
        if isinstance(text, str) and not 0 < len(text) <= _LONGEST_TEXT:
            raise InvalidRequest(f"{name}: it has 1 to {_LONGEST_TEXT} characters")
    if command.subscribe == "log" and not command.job_id:
        raise InvalidRequest("job_id: say whose log", hint="An id, the beginning of one, or last.")


async def _jobs(
    selection: Selection, after: int | None, parts: Parts
) -> AsyncGenerator[Message, None]:
    if after is None:
        after = await parts.live.store.latest()
    reader = EventReader(parts.live, selection, after, shutdown=parts.shutdown)
    async with aclosing(reader.events()) as events:
        async for placed in events:
            yield _message(placed)


async def _queue(parts: Parts, within: Within) -> AsyncGenerator[Message, None]:
    selection = Selection(jobs=None, depth=True, within=within)
    reader = EventReader(parts.live, selection, 0, shutdown=parts.shutdown)
    async with aclosing(reader.events()) as events:
        async for placed in events:
            if isinstance(placed.item, EventsFollowed):
                yield {"type": "subscribed", "subscribe": "queue"}
            else:
                yield _message(placed)


def _message(placed: Placed) -> Message:
    item = placed.item
    if item is None:
        return {"type": "position", "after": placed.seq}
    if isinstance(item, EventsFollowed):
        return {"type": "subscribed", "subscribe": "jobs", "after": item.after}
    if isinstance(item, EventsGap):
        return {"type": "gap", "after": item.after, "resumed": item.resumed}
    return {"type": "event", "event": item}


async def _log(
    reference: str, offset: int, parts: Parts, within: Within
) -> AsyncGenerator[Message, None]:
    job = await parts.repository.find(reference, within=within)
    offset = start_offset(job, parts.repository.logs, offset, from_beginning=True)
    yield {"type": "subscribed", "subscribe": "log", "job_id": job.id, "offset": offset}
    reader = JobReader(
        job,
        offset,
        repository=parts.repository,
        signals=parts.signals,
        shutdown=parts.shutdown,
        outage=lambda: parts.outage.waiting,
    )
    async with aclosing(reader.events()) as events:
        async for positioned in events:
            yield {"offset": positioned.offset, **msgspec.to_builtins(positioned.event)}
            if isinstance(positioned.event, CompleteEvent):
                return
    if not parts.shutdown.begun:
        raise JobNotFound(f"job {job.id} is not kept any more")
