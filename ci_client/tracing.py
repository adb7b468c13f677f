"""The client's span: the first of a job's trace. Loaded when the environment asks for it."""

from __future__ import annotations

from contextlib import contextmanager

from ci_common import __version__
from ci_common.tracing import (
    VARIABLE,
    close_provider,
    context_of,
    open_provider,
    traceparent_of,
    tracing_wanted,
    valid_traceparent,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_PATIENCE = 2.0
"""Seconds in which a collector has the span, or goes without."""


@contextmanager
def submission_span(environ: Mapping[str, str], name: str) -> Iterator[str | None]:
    """Hold the span of a submission; yield the ``traceparent`` to send with it.

    Where traces are not asked for, or their library is missing, the caller's trace goes on.
    """
    parent = valid_traceparent(environ.get(VARIABLE))
    try:
        provider = open_provider("ci", __version__) if tracing_wanted(environ) else None
    except ImportError:
        provider = None
    if provider is None:
        yield parent
        return
    from opentelemetry.trace import SpanKind

    tracer = provider.get_tracer("standby-ci", __version__)
    try:
        with tracer.start_as_current_span(
            name, context=context_of(parent), kind=SpanKind.CLIENT
        ) as span:
            yield traceparent_of(span)
    finally:
        close_provider(provider, patience=_PATIENCE)
