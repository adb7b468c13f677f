"""What the generated API description cannot know: problem documents, streams, the upload form."""

from dataclasses import dataclass

from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from ci_common.api import (
    PROBLEM_MEDIA_TYPE,
    EventsFollowed,
    EventsGap,
    EventView,
    Problem,
    QueueDepth,
)
from ci_common.events import CompleteEvent, JobIdEvent, LogEvent, StatusEvent
from ci_common.job_options import MAX_LABELS
from ci_common.queue_rules import HIGHEST_PRIORITY, LOWEST_PRIORITY
from ci_server.trees import SCOPE_HEADER

_MEANINGS = {
    400: "The request is not valid; the problem says which part of it.",
    401: "With accounts: there is no API key, or one that is not good (any more).",
    403: "This may not be done: by this user, by a key of these scopes, or from this page.",
    404: "There is nothing of that name or id.",
    409: "More than one job id begins like that; the job's state does not allow this;"
    " or, to a manifest: files are missing.",
    410: "The job's project is not kept any more: submit it again; the link was used, or is over.",
    413: "The upload is larger than this server accepts.",
    416: "No byte of the range, or at the offset, exists.",
    422: "The idempotency key was used for a different submission.",
    429: "Too many requests from this client; try again after the seconds of Retry-After.",
    502: "The container engine failed; the problem says how.",
    503: "The storage is busy or full; try again after the seconds of Retry-After.",
    507: "The server has no room for more; try again after the seconds of Retry-After.",
}


NO_SECURITY: list[dict[str, list[str]]] = [{}]
"""What a route for anybody says of how to sign in: not at all."""


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the description of answers that are problem documents.

    Everywhere it may matter who asks, and how often.
    """
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_MEANINGS[status],
            media_type=PROBLEM_MEDIA_TYPE,
            generate_examples=False,
        )
        for status in sorted({*statuses, 401, 403, 429})
    }


class StreamedEvent:
    """One server-sent event of a job's stream; a name for its description only."""


class StreamedUpdate:
    """One server-sent event of the stream of all jobs; a name for its description only."""


_STREAMED = {
    StreamedEvent: JobIdEvent | StatusEvent | LogEvent | CompleteEvent,
    StreamedUpdate: EventsFollowed | EventView | QueueDepth | EventsGap,
}


class StreamSchema(OpenAPISchemaPlugin):
    """Describes a server-sent event as it arrives: its data is text that holds JSON."""

    @staticmethod
    def is_plugin_supported_type(value: object) -> bool:
        """Return whether it is such an event."""
        return value in _STREAMED

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """Return the description."""
        events = FieldDefinition.from_annotation(_STREAMED[field_definition.annotation])
        text = Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/json",
            content_schema=schema_creator.for_field_definition(events),
        )
        position = Schema(type=OpenAPIType.STRING, pattern="^[0-9]+$")
        return Schema(
            type=OpenAPIType.OBJECT, properties={"id": position, "data": text}, required=["data"]
        )


def event_stream(description: str) -> dict[int, ResponseSpec]:
    """Return the description of an answer that is a stream of job events."""
    return {
        200: ResponseSpec(
            data_container=StreamedEvent,
            description=f"{description} The data of each event is JSON on one line; its id is "
            "the offset in the log after it. Ignore types you do not know.",
            media_type="text/event-stream",
            generate_examples=False,
        )
    }


def live_stream(description: str) -> dict[int, ResponseSpec]:
    """Return the description of an answer that is a stream of what happens to jobs."""
    return {
        200: ResponseSpec(
            data_container=StreamedUpdate,
            description=f"{description} The data of each event is JSON on one line; its id is "
            "the sequence number to go on from. Ignore types you do not know.",
            media_type="text/event-stream",
            generate_examples=False,
        )
    }


def _idempotency_key() -> Parameter:
    return Parameter(
        name="Idempotency-Key",
        param_in="header",
        schema=Schema(type=OpenAPIType.STRING, pattern="^[!-~]{1,255}$"),
        description="Repeating a submission with its key returns the first job.",
    )


def _scope() -> Parameter:
    return Parameter(
        name=SCOPE_HEADER,
        param_in="header",
        schema=Schema(type=OpenAPIType.STRING, pattern="^[0-9a-f]{64}$"),
        description="With a manifest: a secret of the client. It can refer only to files that "
        "were sent with the same one.",
    )


def _options() -> dict[str, Reference | Schema]:
    described = {
        "submitter": "Who submits it. Default: the client's address. Submitters take turns.",
        "priority": f"A whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}; default 0.",
        "timeout": "The time limit of an attempt: seconds, or `10m`.",
        "memory": "Bytes, or `2g`.",
        "cpus": "Cores, such as `0.5`.",
        "pids": "Processes and threads.",
        "disk": "What it may write: bytes, or `10g`; refused where the engine cannot limit it.",
        "queue_timeout": "How long it may wait for its first start: seconds, or `10m`.",
        "group": "Its concurrency group within the project.",
        "group_policy": "`cancel_older` (the default): it cancels the others of its group; "
        "`queue`: it waits for them.",
    }
    fields: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING, description=text) for name, text in described.items()
    }
    fields["label"] = Schema(
        type=OpenAPIType.ARRAY,
        items=Schema(type=OpenAPIType.STRING),
        max_items=MAX_LABELS,
        description="`NAME` or `NAME=VALUE`; the field may come several times.",
    )
    return fields


def _form() -> RequestBody:
    fields: dict[str, Reference | Schema] = {
        "file": Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/zip",
            description="The project as a zip; with a manifest: a zip of those of its files "
            "that the server lacks, named by SHA-256. Required unless there is a manifest.",
        ),
        "manifest": Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/json",
            description='The project as {"files": [[path, mode, time, size, sha256], …], '
            '"links": [[path, time, target], …]}, perhaps gzipped.',
        ),
        "command": Schema(
            type=OpenAPIType.STRING,
            content_media_type="application/json",
            description='What to run, as a JSON array: ["pytest", "-x"]. Default: detected.',
        ),
        "artifact": Schema(
            type=OpenAPIType.STRING,
            description="A pattern of files to keep when the job has ended, beside those that "
            "the project names: `htmlcov/**`. May be repeated.",
        ),
        "secret": Schema(
            type=OpenAPIType.STRING,
            description="The name of a secret to give to the job, beside those that the project "
            "names: `PYPI_TOKEN`. May be repeated.",
        ),
        "project": Schema(
            type=OpenAPIType.STRING, max_length=200, description="A name for lists of jobs."
        ),
        **_options(),
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=fields)
    content = {"multipart/form-data": OpenAPIMediaType(schema=schema)}
    return RequestBody(content=content, required=True)


@dataclass
class SubmitOperation(Operation):
    """An operation that takes a submission's form. The handler reads it as a stream."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or ()), _idempotency_key(), _scope()]
        self.request_body = _form()


@dataclass
class RetryOperation(Operation):
    """An operation that makes a job of another one."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or ()), _idempotency_key()]
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False
