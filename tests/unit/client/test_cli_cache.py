"""`ci cache`, called in this process."""

import json
from typing import Any

import pytest

from tests.unit.client.cli_harness import Ci
from tests.unit.client.scripted_server import Script, answer, problem

ENTRY: dict[str, Any] = {
    "kind": "dependencies",
    "key": "0123456789abcdef" * 4,
    "size_bytes": 12_345_678,
    "created_at": "2026-01-01T10:00:00.000Z",
    "last_used_at": "2026-01-02T11:30:00.500Z",
    "image": "python:3.12-slim",
    "about": "ci_pip install -r requirements.txt; ci_pip install 'a>1'",
}


class TestLs:
    def test_a_line_for_each(self, ci: Ci, script: Script) -> None:
        script.will(answer([ENTRY, {**ENTRY, "key": "f" * 64, "size_bytes": 0, "about": "x\n"}]))
        outcome = ci("cache", "ls")
        assert outcome.code == 0
        header, first, second = outcome.out.splitlines()
        assert header.split() == ["KEY", "SIZE", "MADE", "LAST", "USED", "IMAGE", "INSTALLED", "BY"]
        assert first == (
            "0123456789ab  12.3 MB  2026-01-01 10:00:00Z  2026-01-02 11:30:00Z  "
            "python:3.12-slim  pip install -r requirements.txt; pip install 'a>1'"
        )
        assert second.endswith(r"x\n")
        assert (script.seen[0].method, script.seen[0].path) == ("GET", "/cache")

    def test_as_json(self, ci: Ci, script: Script) -> None:
        script.will(answer([ENTRY, ENTRY]))
        outcome = ci("cache", "ls", "--json")
        assert [json.loads(line) for line in outcome.out.splitlines()] == [ENTRY, ENTRY]

    def test_nothing_is_said_to_be_nothing(self, ci: Ci, script: Script) -> None:
        script.will(answer([]))
        outcome = ci("cache", "ls")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err.startswith("nothing is kept")


class TestPrune:
    def test_all(self, ci: Ci, script: Script) -> None:
        script.will(answer([ENTRY, ENTRY]))
        outcome = ci("cache", "prune")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "gave up 2 snapshots, 24.7 MB\n"
        seen = script.seen[0]
        assert (seen.method, seen.path) == ("DELETE", "/cache?older_than=0.000000")

    def test_what_was_not_used_for_long(self, ci: Ci, script: Script) -> None:
        script.will(answer([ENTRY]))
        assert ci("cache", "prune", "--older-than", "7d").err == "gave up 1 snapshot, 12.3 MB\n"
        assert script.seen[0].path == "/cache?older_than=604800.000000"

    @pytest.mark.parametrize("text", ["soon", ""])
    def test_a_time_that_is_none_is_a_usage_error(self, ci: Ci, script: Script, text: str) -> None:
        outcome = ci("cache", "prune", "--older-than", text)
        assert outcome.code == 2
        assert "--older-than" in outcome.err
        assert script.seen == []

    def test_an_engine_that_is_away_is_the_infrastructures_fault(
        self, ci: Ci, script: Script
    ) -> None:
        script.will(problem(503, "engine_unavailable", "The engine does not answer."))
        outcome = ci("cache", "prune")
        assert outcome.code == 3
        assert "The engine does not answer." in outcome.err
