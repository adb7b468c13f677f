"""Why nothing runs, from the controller to every process of its data directory."""

import logging

from ci_common.outage import Outage


def test_it_is_said_and_withdrawn(tmp_path):
    controller, reader = Outage(tmp_path), Outage(tmp_path)
    assert (reader.reason, reader.waiting) == (None, None)
    controller.declare("no socket ä")
    assert reader.reason == "no socket ä"
    assert reader.waiting == "waiting for the engine: no socket ä"
    controller.declare("it took too long")
    assert reader.reason == "it took too long"
    controller.declare(None)
    controller.declare(None)
    assert reader.reason is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_written_is_no_failure(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        Outage(tmp_path / "missing").declare("gone")
    assert "other processes are not told" in caplog.text
