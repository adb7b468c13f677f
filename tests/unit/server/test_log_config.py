import json
import logging
import sys

import pytest

from ci_common.log_context import context_of_job
from ci_server.log_config import FACTS, JsonFormatter, TextFormatter, configure_logging
from ci_server.request_ids import about_request


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("ci_server.x", logging.WARNING, "", 0, message, arguments, None)
    made.created = 1_700_000_000.25
    made.__dict__.update(fields)
    return made


def as_json(made: logging.LogRecord) -> dict:
    text = JsonFormatter().format(made)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_of_json():
    assert as_json(record("took %d\n  lines", 2)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "ci_server.x",
        "message": "took 2\n  lines",
    }


def test_what_a_line_is_about():
    def lines() -> tuple[dict, str]:
        return as_json(record("hello")), TextFormatter().format(record("hello"))

    with about_request("r1"):
        both, text = context_of_job("j1").run(lines)
        request, plain = lines()
    assert (both["request_id"], both["job_id"]) == ("r1", "j1")
    assert text.endswith("WARNING ci_server.x [r1 job j1] hello")
    assert request["request_id"] == "r1"
    assert "job_id" not in request
    assert plain.endswith("[r1] hello")
    assert "request_id" not in lines()[0]


def test_fields_of_its_own_and_a_traceback():
    try:
        int("why")
    except ValueError:
        line = as_json(record("bad", exc_info=sys.exc_info(), **{FACTS: {"status": 500}}))
    assert line["status"] == 500
    assert line["exception"].endswith("'why'")


def test_nobody_can_fake_a_line_of_text():
    assert "\n" not in TextFormatter().format(record("x\r\n2026 INFO faked"))


@pytest.fixture
def loggers():
    names = ("ci_server", "ci_controller", "ci_persistence", "ci_common", "uvicorn",
             "uvicorn.error", "uvicorn.access", "asyncio")  # fmt: skip
    found = [logging.getLogger(name) for name in names]
    kept = [(each, each.handlers, each.level, each.propagate) for each in found]
    yield found
    for each, handlers, level, propagate in kept:
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


def test_one_handler_whatever_was_there_and_however_often(loggers, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    theirs = logging.StreamHandler()
    logging.getLogger("uvicorn").handlers = [theirs]
    configure_logging("info")
    assert logging.getLogger("uvicorn").handlers == [theirs]
    for style in ("json", "json"):
        configure_logging("debug", style)
    for name in ("ci_server", "ci_controller", "uvicorn", "asyncio"):
        (handler,) = logging.getLogger(name).handlers
        assert isinstance(handler.formatter, JsonFormatter)
    assert logging.getLogger("ci_server").level == logging.DEBUG
    assert logging.getLogger("uvicorn.error").propagate
