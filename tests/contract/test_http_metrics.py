"""What Prometheus gets to read: right, clean, and told of in the docs."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from ci_common.jobs import EndReason
from tests.contract.http_harness import running_server
from tests.promtool import promtool
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
DEPLOY = ROOT / "deploy/prometheus"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("metrics")) as server:
        yield server


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain_text(text)
        for sample in family.samples
    }


def value(server, name: str, **labels: str) -> float:
    """The one sample of that name with at least these labels."""
    found = [
        each
        for (its_name, its_labels), each in samples(server.get("/metrics").text).items()
        if its_name == name and labels.items() <= set(its_labels)
    ]
    assert len(found) <= 1, found
    return found[0] if found else 0.0


def names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def test_promtool_finds_nothing_to_complain_of(server):
    server.ended(b"a line\n")
    server.get("/jobs/last")
    server.post("/submit-async", b"no zip")
    with server.stream(f"/jobs/{server.submit()}/stream"):
        answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert promtool("check", "metrics", text=answer.text) == ""


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics"])
def test_open_metrics_comes_when_it_is_asked_for(server, path):
    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    answer = server.get(path, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "standby_ci_jobs_ended" in {family.name for family in open_metrics(answer.text)}


def test_jobs_are_counted_by_state_and_by_reason(server):
    def ended(reason: str) -> float:
        return value(server, "standby_ci_jobs_ended_total", reason=reason)

    failed, passed = ended("failed"), ended("passed")
    submitted = value(server, "standby_ci_jobs_submitted_total")
    waits = value(server, "standby_ci_job_queue_wait_seconds_count")
    lasted = value(server, "standby_ci_job_duration_seconds_bucket", le="+Inf")
    queued = value(server, "standby_ci_jobs", state="queued")
    server.ended(b"", EndReason.FAILED, exit_code=1)
    server.submit()
    assert (ended("failed"), ended("passed")) == (failed + 1, passed)
    assert value(server, "standby_ci_jobs_submitted_total") == submitted + 2
    assert value(server, "standby_ci_jobs", state="queued") == queued + 1
    assert value(server, "standby_ci_queue_oldest_seconds") > 0
    assert value(server, "standby_ci_job_queue_wait_seconds_count") == waits + 1
    assert value(server, "standby_ci_job_duration_seconds_bucket", le="+Inf") == lasted + 1


def test_requests_are_counted_by_their_template_never_by_their_path(server):
    name = "standby_ci_http_requests_total"
    job_id = server.submit()
    template = {"route": "/jobs/{reference}", "method": "GET", "status": "2xx"}
    before = value(server, name, **template)
    server.get(f"/jobs/{job_id}")
    server.get(f"/jobs/{job_id[:13]}")
    server.get("/no/such/path")
    assert value(server, name, **template) == before + 2
    assert value(server, name, route="unmatched", status="4xx") >= 1
    text = server.get("/metrics").text
    assert job_id[:13] not in text
    assert "/no/such/path" not in text
    latency = "standby_ci_http_request_duration_seconds_count"
    assert value(server, latency, route="/jobs/{reference}", method="GET") >= before + 2


def test_open_streams_are_counted_while_they_are_open(server):
    name = "standby_ci_stream_readers"
    before = value(server, name)
    with server.stream(f"/jobs/{server.submit()}/stream") as reader:
        next(reader)
        assert value(server, name) == before + 1
    eventually(lambda: value(server, name) == before, what="the reader is gone")


def test_uploads_and_refusals_are_counted(server):
    refused = value(server, "standby_ci_submissions_refused_total", code="invalid_archive")
    taken = value(server, "standby_ci_upload_bytes_total")
    assert server.post("/submit-async", b"x" * 1000).status_code == 400
    code = {"code": "invalid_archive"}
    assert value(server, "standby_ci_submissions_refused_total", **code) == refused + 1
    assert value(server, "standby_ci_upload_bytes_total") >= taken + 1000
    server.get("/jobs/none")
    assert value(server, "standby_ci_submissions_refused_total", code="job_not_found") == 0


def test_an_engine_that_does_not_answer_is_told_of(server):
    assert value(server, "standby_ci_engine_up") == 1
    server.controller.engine_error = "gone"
    try:
        assert value(server, "standby_ci_engine_up") == 0
    finally:
        server.controller.engine_error = None


def test_metrics_can_be_switched_off(tmp_path):
    with running_server(tmp_path, metrics="off") as server:
        assert server.get("/metrics").status_code == 404
        assert server.get("/jobs").status_code == 200


def test_every_metric_is_in_the_docs_and_no_other(server):
    told = set(re.findall(r"^\| `([a-z_]+)", PAGE, re.MULTILINE))
    assert names(server.get("/metrics").text) == told


def test_alert_rules_hold_what_they_promise():
    promtool("check", "rules", "alerts.yml", folder=DEPLOY)
    promtool("check", "config", "scrape.yml", folder=DEPLOY)
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml", folder=DEPLOY)


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_rules_and_dashboard_ask_for_metrics_that_there_are(server, file):
    text = (DEPLOY / file).read_text(encoding="utf-8")
    known = names(server.get("/metrics").text)
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in re.findall(r"\b(?:standby_ci|process)_[a-z_]+\b", text)
    }
    assert asked
    assert asked <= known


def test_every_alert_has_a_test():
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (DEPLOY / "alerts.test.yml").read_text()))
    assert alerts == tested


def test_the_dashboard_is_one(server):
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    told = set(re.findall(r"^\| `(standby_ci_[a-z_]+)", PAGE, re.MULTILINE))
    shown = json.dumps(dashboard)
    not_shown = {"standby_ci_workers_silent", "standby_ci_disk_size_bytes"}
    assert [name for name in told - not_shown if name not in shown] == []
