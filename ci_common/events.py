"""What a job's stream says, event by event."""

import msgspec


class JobIdEvent(msgspec.Struct, frozen=True, tag_field="type", tag="job_id"):
    """Which job this stream belongs to; the first event of ``/submit-stream``."""

    job_id: str


class StatusEvent(
    msgspec.Struct, frozen=True, tag_field="type", tag="status", omit_defaults=True, kw_only=True
):
    """The job's state; ``position`` is its place in the queue, 1 for the next one.

    ``waiting`` says in words what keeps it from going on, other than its turn.
    """

    status: str
    position: int | None = None
    detail: str | None = None
    waiting: str | None = None


class LogEvent(msgspec.Struct, frozen=True, tag_field="type", tag="log"):
    """A piece of the log as text; pieces join to the whole."""

    data: str


class CompleteEvent(msgspec.Struct, frozen=True, tag_field="type", tag="complete", kw_only=True):
    """The verdict; always the last event."""

    success: bool
    exit_code: int | None
    reason: str
    detail: str | None = None


JobEvent = JobIdEvent | StatusEvent | LogEvent | CompleteEvent

_encoder = msgspec.json.Encoder()


def encode_event(event: JobEvent) -> str:
    """Return the JSON text of an event, on one line whatever its data holds."""
    return _encoder.encode(event).decode()
