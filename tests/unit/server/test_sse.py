"""What an event costs on the wire."""

import pytest

from ci_common.events import CompleteEvent, LogEvent
from ci_server.sse import encoded
from ci_server.streams import CHUNK, Positioned

MOST_BESIDE_THE_TEXT = 50
"""Bytes of a log event that are not its text, with an offset of ten digits."""


def test_an_event_on_the_wire():
    event = Positioned(7, LogEvent("h\u00e9\n"))
    assert encoded(event) == 'id: 7\ndata: {"type":"log","data":"h\u00e9\\n"}\n\n'.encode()


@pytest.mark.parametrize("length", [1, 80, CHUNK])
def test_an_event_is_hardly_larger_than_its_text(length):
    event = Positioned(9_999_999_999, LogEvent("x" * length))
    assert len(encoded(event)) - length <= MOST_BESIDE_THE_TEXT


def test_a_line_break_costs_one_byte_more():
    text = "a line\n" * 1000
    assert len(encoded(Positioned(0, LogEvent(text)))) <= len(text) + 1000 + MOST_BESIDE_THE_TEXT


def test_a_verdict_is_short():
    verdict = CompleteEvent(success=True, exit_code=0, reason="passed")
    assert len(encoded(Positioned(9_999_999_999, verdict))) <= 110
