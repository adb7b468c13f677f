"""When there are traces, and that without them nothing is loaded for them."""

import subprocess
import sys

import pytest

from ci_common.tracing import tracing_wanted, valid_traceparent

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PARTS = ("sdk", "trace", "exporter", "context", "proto")
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", **ENDPOINT}, False),
    ],
)
def test_the_standard_variables_decide(environ, wanted):
    assert tracing_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (GOOD, GOOD),
        (f" {GOOD} ", GOOD),
        (GOOD.replace("00-", "01-", 1) + "-more", GOOD),
        (GOOD + "-more", None),
        (GOOD.upper(), None),
        (GOOD.replace("00-", "ff-", 1), None),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", None),
        ("00-0af7-b7ad6b7169203331-01", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_valid_trace_is_gone_on_with(sent, kept):
    assert valid_traceparent(sent) == kept


@pytest.mark.parametrize(
    "program",
    [
        "import ci_server.app, ci_server.bootstrap, ci_controller.controller; ci_server.app.app",
        (
            "from ci_server.settings import Settings\n"
            "from ci_server.telemetry import build_telemetry\n"
            "build_telemetry(Settings(), {})"
        ),
        "from ci_client.cli import main; import ci_client.commands.submit",
    ],
)
def test_without_being_asked_for_nothing_of_it_is_loaded(program):
    look = "import sys; print(*(f'opentelemetry.{each}' in sys.modules for each in PARTS))"
    program = f"PARTS = {PARTS}\n{program}\n{look}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False"] * len(PARTS), done.stderr


def test_without_the_extra_it_is_said_and_work_goes_on():
    program = f"""
import sys, logging
sys.modules["opentelemetry"] = None
logging.basicConfig()
from ci_server.settings import Settings
from ci_server.telemetry import build_telemetry
assert build_telemetry(Settings(), {ENDPOINT!r}).tracing is None
from ci_client.tracing import submission_span
with submission_span({ENDPOINT!r} | {{"TRACEPARENT": {GOOD!r}}}, "ci submit") as sent:
    assert sent == {GOOD!r}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "standby-ci[otel]" in done.stderr
