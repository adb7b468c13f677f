"""What one process counts of its own doing."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from ci_common.executor import StandbyCounts
from ci_common.observer import Observer
from ci_server.metrics.families import PREFIX

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CALL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_INSTALLATION = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_OUTCOMES = {True: "hit", False: "miss"}


class WorkerMetrics(Observer):
    """The metrics of one process, in a registry of their own. For any thread."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.leader = Gauge(
            f"{PREFIX}leader", "Whether this worker is the one that runs jobs.", registry=registry
        )
        self._standbys = Gauge(
            f"{PREFIX}standby_containers",
            "Containers kept ready for jobs, as the worker that leads sees them.",
            ["state"],
            registry=registry,
        )
        self._standby_requests = Counter(
            f"{PREFIX}standby_requests",
            "Containers that were needed, by whether one was waiting.",
            ["outcome"],
            registry=registry,
        )
        self._snapshot_requests = Counter(
            f"{PREFIX}snapshot_requests",
            "Jobs whose dependencies can be kept, by whether they were.",
            ["outcome"],
            registry=registry,
        )
        for outcome in _OUTCOMES.values():
            self._standby_requests.labels(outcome)
            self._snapshot_requests.labels(outcome)
        self._preparation = Histogram(
            f"{PREFIX}job_preparation_seconds",
            "How long jobs waited for dependencies to be installed, where that was needed.",
            buckets=_INSTALLATION,
            registry=registry,
        )
        self._start = Histogram(
            f"{PREFIX}job_start_seconds",
            "From the claim of a job to the first output of its script.",
            buckets=(*_CALL, 60.0, 300.0),
            registry=registry,
        )
        self._engine_calls = Histogram(
            f"{PREFIX}engine_call_duration_seconds",
            "Calls to the container engine, by call and by outcome (ok, or an error's code).",
            ["call", "outcome"],
            buckets=_CALL,
            registry=registry,
        )
        self._log_bytes = Counter(
            f"{PREFIX}log_bytes", "Bytes that jobs wrote to their logs.", registry=registry
        )
        self._requests = Counter(
            f"{PREFIX}http_requests",
            "HTTP requests that were answered, by route, method and class of the status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            f"{PREFIX}http_request_duration_seconds",
            "From an HTTP request to the beginning of its answer; a stream may go on long after.",
            ["route", "method"],
            buckets=_FAST,
            registry=registry,
        )
        self._readers = Gauge(
            f"{PREFIX}stream_readers", "Event streams that are open.", registry=registry
        )
        self._upload_bytes = Counter(
            f"{PREFIX}upload_bytes", "Bytes of submissions that came in.", registry=registry
        )
        self._refusals = Counter(
            f"{PREFIX}submissions_refused",
            "Submissions that were not taken, by the code of the problem.",
            ["code"],
            registry=registry,
        )

    def standby_asked_for(self, *, found: bool) -> None:
        """Count it."""
        self._standby_requests.labels(_OUTCOMES[found]).inc()

    def dependencies_asked_for(self, *, kept: bool) -> None:
        """Count it."""
        self._snapshot_requests.labels(_OUTCOMES[kept]).inc()

    def prepared(self, seconds: float) -> None:
        """Count it."""
        self._preparation.observe(seconds)

    def started(self, seconds: float) -> None:
        """Count it."""
        self._start.observe(seconds)

    def engine_called(self, call: str, outcome: str, seconds: float) -> None:
        """Count it."""
        self._engine_calls.labels(call, outcome).observe(seconds)

    def log_written(self, size: int) -> None:
        """Count it."""
        self._log_bytes.inc(size)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer that has begun."""
        self._requests.labels(route, method, f"{status // 100}xx").inc()
        self._latency.labels(route, method).observe(seconds)

    def reader_came(self) -> None:
        """Count a stream that begins."""
        self._readers.inc()

    def reader_left(self) -> None:
        """Count a stream that has ended."""
        self._readers.dec()

    def uploaded(self, size: int) -> None:
        """Count bytes of a submission."""
        self._upload_bytes.inc(size)

    def refused(self, code: str) -> None:
        """Count a submission that was not taken."""
        self._refusals.labels(code).inc()

    def see(self, *, leader: bool, standbys: StandbyCounts) -> None:
        """Take over what is as it is now."""
        self.leader.set(leader)
        self._standbys.labels("ready").set(standbys.ready)
        self._standbys.labels("launching").set(standbys.launching)
