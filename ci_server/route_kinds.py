"""What kind of request a route takes: limits differ by it."""

from enum import Enum

from litestar.handlers import HTTPRouteHandler
from litestar.types.internal_types import RouteHandlerType

_EVENT_STREAM = "text/event-stream"


class RouteKind(Enum):
    """Kinds of requests."""

    SUBMISSIONS = "submissions"
    STREAMS = "streams"
    READS = "reads"
    FAILURES = "failures"
    """Not a route's: credentials that are not good, at whatever route."""


def kind_of(handler: RouteHandlerType) -> RouteKind:
    """Return a route's kind, as it shows in what the route says of itself.

    What takes a body of any size is a submission, what answers with events or is
    a WebSocket is a stream; all the rest are reads.
    """
    if not isinstance(handler, HTTPRouteHandler):
        return RouteKind.STREAMS
    if handler.request_max_body_size is None and "POST" in handler.http_methods:
        return RouteKind.SUBMISSIONS
    specs = (handler.responses or {}).values()
    streams = any(spec.media_type == _EVENT_STREAM for spec in specs)
    return RouteKind.STREAMS if streams else RouteKind.READS
