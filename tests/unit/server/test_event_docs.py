"""The page about the HTTP API tells of every event and every message."""

from pathlib import Path

import pytest

from ci_common.api import QUEUE_DEPTH
from ci_common.job_events import EventType
from ci_server import event_socket
from ci_server.event_commands import Command

PAGE = (Path(__file__).parents[3] / "docs/http-api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [*EventType, QUEUE_DEPTH])
def test_every_type_of_event_is_documented(kind):
    assert f"| `{kind}` |" in PAGE


@pytest.mark.parametrize("field", Command.__struct_fields__)
def test_every_field_of_a_command_is_documented(field):
    assert f'"{field}"' in PAGE or f"`{field}`" in PAGE


@pytest.mark.parametrize("code", ["NOT_TEXT", "TOO_SLOW", "TOO_LARGE", "GOING_DOWN"])
def test_every_code_of_a_close_is_documented(code):
    assert f"`{getattr(event_socket, code)}`" in PAGE
