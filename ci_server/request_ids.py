"""A name for every request, in its answer, in its problem document and in the log."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from litestar.types import Message, Scope

from ci_common.log_context import current_job_id

REQUEST_ID_HEADER = "X-Request-ID"

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_HEADER = REQUEST_ID_HEADER.lower().encode()
_STATE_KEY = "request_id"
_BEGINNINGS = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)

NO_REQUEST = "-"

current_request_id: ContextVar[str] = ContextVar("current_request_id", default=NO_REQUEST)
"""The id of the request that the running task serves, ``-`` outside of one."""


def assign_request_id(scope: Scope) -> str:
    """Give the request the id its caller sent, if it is a sane one, else a new one."""
    sent = next((value for name, value in scope["headers"] if name == _HEADER), b"")
    chosen = sent.decode("ascii") if _ACCEPTABLE.fullmatch(sent) else uuid.uuid4().hex
    scope.setdefault("state", {})[_STATE_KEY] = chosen
    return chosen


@contextmanager
def about_request(request_id: str) -> Iterator[None]:
    """Have what is logged within carry the request's id, and that of the job it turns out about."""
    request = current_request_id.set(request_id)
    job = current_job_id.set(None)
    try:
        yield
    finally:
        current_job_id.reset(job)
        current_request_id.reset(request)


def request_id_of(scope: Scope) -> str:
    """Return the id that was assigned to a request."""
    return str(scope["state"].get(_STATE_KEY, "-"))


def echo_request_id(message: Message, request_id: str) -> None:
    """Add the id to the headers of an answer that is about to start."""
    if message["type"] in _BEGINNINGS:
        fields: dict[str, Any] = message  # type: ignore[assignment]
        fields["headers"] = [*fields.get("headers", ()), (_HEADER, request_id.encode())]
