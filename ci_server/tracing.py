"""Spans of requests and of jobs. Imported only where traces are asked for.

What happens to a job is stored with it, so its spans are made at its end, by
whoever writes that down: also when another process began it. Their ids follow
from the job's, so that parts which different processes tell fit together.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from litestar.types import HTTPScope
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from ci_common import __version__
from ci_common.jobs import EndReason, Job
from ci_common.observer import Observer
from ci_common.tracing import (
    HEADER,
    close_provider,
    context_of,
    open_provider,
    traceparent_of,
    valid_traceparent,
)

_FAREWELL = 3.0
"""Seconds in which the last spans must have been sent."""

_RESULTS = {
    EndReason.PASSED: "success",
    EndReason.TIMED_OUT: "timeout",
    EndReason.CANCELLED: "cancellation",
    EndReason.INFRA_ERROR: "error",
}
"""As the semantic conventions for CI/CD have it; what is not here is a ``failure``."""

_next_span_id: ContextVar[int | None] = ContextVar("next_span_id", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for a span whose id is known before."""

    def generate_span_id(self) -> int:
        """Return an id."""
        return _next_span_id.get() or super().generate_span_id()


class ServerTracing(Observer):
    """Makes the server's spans. Never raises, never waits for the network."""

    def __init__(self) -> None:
        self._provider = open_provider("standby-ci", __version__, _Ids())
        self._tracer = self._provider.get_tracer("standby-ci", __version__)

    def close(self) -> None:
        """Send what is left, for as long as that is worth waiting for."""
        close_provider(self._provider, patience=_FAREWELL)

    @contextmanager
    def request(self, scope: HTTPScope) -> Iterator[Span]:
        """Hold the span of a request, in the trace that its caller names."""
        headers = dict(scope["headers"])
        sent = headers.get(HEADER.encode(), b"").decode("latin-1")
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method,
            context=context_of(valid_traceparent(sent)),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": scope["path"],
                "url.scheme": scope["scheme"],
            },
        ) as span:
            scope.setdefault("state", {})[HEADER] = traceparent_of(span)
            yield span

    def attempt_lost(self, job: Job, detail: str, now: datetime) -> None:
        """Tell of an attempt that came to nothing."""
        if job.traceparent is None or job.started is None:
            return
        self._tell_of_queue(job, job.started.wall)
        attempt = self._span(
            "attempt", _within_job(job), job.started.wall, _attempt(job), error=detail
        )
        attempt.end(_ns(now))

    def job_ended(self, job: Job) -> None:
        """Tell of a job, from its submission to its end."""
        if job.traceparent is None or job.end_time is None or job.reason is None:
            return
        failure = "" if job.reason is EndReason.PASSED else job.reason.value
        token = _next_span_id.set(_span_id_of(job))
        try:
            name = f"RUN {job.project}".rstrip()
            about = _about(job)
            whole = self._span(
                name, context_of(job.traceparent), job.created_at, about, error=failure
            )
        finally:
            _next_span_id.reset(token)
        if job.started is None:
            self._tell_of_queue(job, job.end_time)
        else:
            self._tell_of_queue(job, job.started.wall)
            self._tell_of_attempt(job, job.started.wall, job.end_time, failure)
        whole.end(_ns(job.end_time))

    def cleaned_up(self, job: Job, since: datetime, now: datetime) -> None:
        """Tell how long it took to remove what an attempt left."""
        if job.traceparent is not None:
            self._span("clean-up", _within_job(job), since, _attempt(job)).end(_ns(now))

    def _tell_of_queue(self, job: Job, until: datetime) -> None:
        if job.attempt <= 1:
            self._span("queue", _within_job(job), job.created_at, {}).end(_ns(until))

    def _tell_of_attempt(self, job: Job, begin: datetime, end: datetime, failure: str) -> None:
        from opentelemetry.trace import set_span_in_context

        attempt = self._span("attempt", _within_job(job), begin, _attempt(job), error=failure)
        attempt.add_event("claimed", timestamp=_ns(begin))
        inside = set_span_in_context(attempt, Context())
        # What was not reached has no time, and what came before it lasted to the end.
        steps = (("prepare", begin), ("start", job.container_at), ("run", job.fed_at))
        reached = [(name, at) for name, at in steps if at is not None]
        ends = [at for _, at in reached[1:]] + [end]
        for (name, at), until in zip(reached, ends, strict=True):
            self._span(name, inside, at, {}).end(_ns(until))
        attempt.add_event("verdict", {"cicd.pipeline.result": _result(job)}, timestamp=_ns(end))
        attempt.end(_ns(end))

    def _span(
        self,
        name: str,
        parent: Context,
        begin: datetime,
        attributes: dict[str, Any],
        *,
        error: str = "",
    ) -> Span:
        span = self._tracer.start_span(
            name, context=parent, start_time=_ns(begin), attributes=attributes
        )
        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, error))
        return span


def describe_answer(span: Span, route: str, method: str, status: int) -> None:
    """Note on a request's span where it came to, and what it came to."""
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def _about(job: Job) -> dict[str, Any]:
    about: dict[str, Any] = {
        "cicd.pipeline.action.name": "RUN",
        "cicd.pipeline.name": job.project,
        "cicd.pipeline.run.id": job.id,
        "cicd.pipeline.result": _result(job),
        "standby_ci.reason": str(job.reason),
    }
    if job.exit_code is not None:
        about["process.exit.code"] = job.exit_code
    return about


def _attempt(job: Job) -> dict[str, Any]:
    return {
        "cicd.pipeline.task.name": "attempt",
        "cicd.pipeline.task.run.id": f"{job.id}-{job.attempt}",
        "standby_ci.attempt": job.attempt,
    }


def _result(job: Job) -> str:
    return _RESULTS.get(job.reason, "failure") if job.reason else ""


def _within_job(job: Job) -> Context:
    version, trace_id, _, flags = (job.traceparent or "").split("-")
    return context_of(f"{version}-{trace_id}-{_span_id_of(job):016x}-{flags}")


def _span_id_of(job: Job) -> int:
    return int.from_bytes(hashlib.sha256(job.id.encode()).digest()[:8], "big") or 1


def _ns(when: datetime) -> int:
    return int(when.timestamp() * 1_000_000) * 1000
