"""One trace for a job, from ``ci submit`` to the verdict, whoever saw which part of it."""

import pytest

from tests.e2e.harness import WAIT_FOR_GO
from tests.otlp_collector import Collector, Span, collector
from tests.waiting import eventually

CLIENT, SERVER = 3, 2
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collected():
    with collector() as collected:
        yield collected


@pytest.fixture
def traced(collected, servers, namespace):
    server = servers(namespace, executor="local", orphan_grace="0")
    server.settings |= collected.environment
    return server.start()


def one(spans: list[Span], name: str) -> Span:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, (name, [span.name for span in spans])
    return found[0]


def whole_trace(collected: Collector, job_id: str, *names: str) -> list[Span]:
    """Wait until a job's trace has spans of these names; return it."""

    def look() -> list[Span] | None:
        runs = [s for s in collected.spans if s.attributes.get("cicd.pipeline.run.id") == job_id]
        spans = collected.of_trace(runs[0].trace) if runs else []
        return spans if {span.name for span in spans} >= set(names) else None

    return eventually(look, what=f"a trace with {names}")


def holds(outer: Span, inner: Span) -> bool:
    # The store's notes of times are to the millisecond.
    slack = 2_000_000
    return outer.begin - slack <= inner.begin <= inner.end <= outer.end + slack


def test_a_job_is_one_trace_from_submit_to_verdict(traced, collected, project):
    made = project('echo "trace $TRACEPARENT"\nexit 3')
    done = traced.ci("submit", "--json", str(made.path), env={"TRACEPARENT": PARENT})
    assert done.returncode == 1, done.stderr
    job_id = traced.get("/jobs").json()[0]["job_id"]
    run = f"RUN {made.path.name}"
    spans = whole_trace(collected, job_id, "ci submit", "POST /submit-stream", run, "clean-up")

    client, request = one(spans, "ci submit"), one(spans, "POST /submit-stream")
    assert client.trace == PARENT.split("-")[1]
    assert (client.parent, client.kind, client.service) == (PARENT.split("-")[2], CLIENT, "ci")
    assert (request.parent, request.kind, request.service) == (client.id, SERVER, "standby-ci")
    assert request.attributes["http.route"] == "/submit-stream"
    assert request.attributes["http.response.status_code"] == 200

    job, queue, attempt = one(spans, run), one(spans, "queue"), one(spans, "attempt")
    assert job.parent == request.id
    assert {queue.parent, attempt.parent, one(spans, "clean-up").parent} == {job.id}
    assert job.attributes["cicd.pipeline.result"] == "failure"
    assert job.attributes["cicd.pipeline.name"] == made.path.name
    assert job.attributes["process.exit.code"] == 3
    assert job.attributes["error.type"] == "failed"
    assert job.failed
    assert attempt.events == ("claimed", "verdict")
    steps = [one(spans, name) for name in ("prepare", "start", "run")]
    assert {step.parent for step in steps} == {attempt.id}
    assert holds(job, queue)
    assert holds(job, attempt)
    assert all(holds(attempt, step) for step in steps)
    assert [step.begin for step in steps] == sorted(step.begin for step in steps)
    # The job's own process can go on with the trace.
    assert f"trace 00-{job.trace}-{request.id}-01" in traced.text(job_id)


def test_a_job_that_outlives_its_server_has_its_trace(traced, collected, project, tmp_path):
    go = tmp_path / "go"
    made = project(f"echo started\n{WAIT_FOR_GO.format(go=go)}")
    job_id = traced.submit(made)
    traced.until_log(job_id, "started")
    eventually(lambda: collected.named("POST /submit-async"), what="the request was told of")
    traced.kill()
    assert not collected.named("attempt")
    traced.restart()
    go.touch()
    traced.until(job_id, "completed")
    run = f"RUN {made.path.name}"
    spans = whole_trace(collected, job_id, "ci submit", "POST /submit-async", run, "run")
    assert one(spans, run).parent == one(spans, "POST /submit-async").id
    assert one(spans, run).attributes["cicd.pipeline.result"] == "success"
    assert not one(spans, run).failed
    # It began under the first server, and was told of by the second.
    assert one(spans, "run").begin < one(spans, "run").end
    assert holds(one(spans, "attempt"), one(spans, "run"))


def test_a_job_cancelled_in_the_queue_has_a_trace_too(collected, servers, namespace, project):
    server = servers(namespace, executor="docker")
    server.settings |= collected.environment | {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    server.start()
    made = project()
    job_id = server.submit(made)
    assert server.ci("cancel", job_id).returncode == 0
    spans = whole_trace(collected, job_id, f"RUN {made.path.name}", "queue")
    assert one(spans, f"RUN {made.path.name}").attributes["cicd.pipeline.result"] == "cancellation"
    assert not [span for span in spans if span.name == "attempt"]


def test_a_collector_that_is_not_there_delays_nothing(servers, namespace, project):
    server = servers(namespace, executor="local")
    server.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    server.start()
    assert server.ci("submit", str(project("echo hello").path)).returncode == 0
    assert server.terminate() == 0
