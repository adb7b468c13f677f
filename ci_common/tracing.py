"""Traces: W3C Trace Context, and OpenTelemetry where the user has set it up.

The library is loaded when the environment asks for traces, and never else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Span

HEADER = "traceparent"
VARIABLE = "TRACEPARENT"
"""How a trace goes on in a process that another one starts."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_LENGTHS = (2, 32, 16, 2)
_DIGITS = frozenset("0123456789abcdef")


def tracing_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the standard variables (``OTEL_…``) ask for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return "otlp" in exporter.split(",")
    return any(environ.get(name) for name in _ENDPOINTS)


def valid_traceparent(text: str | None) -> str | None:
    """Return a ``traceparent`` in the form of version 00; None if it is not a valid one."""
    parts = (text or "").strip().split("-")
    version = parts[0]
    # A later version may add fields behind those that we know.
    if len(parts) < len(_LENGTHS) or (version == "00" and len(parts) > len(_LENGTHS)):
        return None
    known = parts[: len(_LENGTHS)]
    sound = all(
        len(part) == length and _DIGITS.issuperset(part)
        for part, length in zip(known, _LENGTHS, strict=True)
    )
    if not sound or version == "ff" or not int(known[1], 16) or not int(known[2], 16):
        return None
    return "-".join(("00", *known[1:]))


def open_provider(service: str, version: str, ids: IdGenerator | None = None) -> TracerProvider:
    """Return what makes spans and sends them by OTLP over HTTP, as the environment says.

    Raises:
        ImportError: the extra ``standby-ci[otel]`` is not installed.

    """
    import os

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about: dict[str, str] = {"service.version": version}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = service
    provider = TracerProvider(
        resource=Resource.create(about), shutdown_on_exit=False, id_generator=ids
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def close_provider(provider: TracerProvider, *, patience: float) -> None:
    """Send what is left, in at most ``patience`` seconds. Call it from a thread that may wait."""
    import threading

    # A thread of its own: a collector that does not answer must not keep the process.
    sending = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    sending.start()
    sending.join(patience)


def context_of(traceparent: str | None) -> Context:
    """Return the context whose current span a ``traceparent`` names; an empty one for None."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {HEADER: traceparent} if traceparent else {}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def traceparent_of(span: Span) -> str:
    """Return the ``traceparent`` that names a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
