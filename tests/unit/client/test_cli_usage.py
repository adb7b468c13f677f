"""`ci usage`, called in this process."""

import json
from typing import Any

from ci_client.exits import Exit
from tests.unit.client.cli_harness import Ci
from tests.unit.client.scripted_server import Script, answer, problem

USAGE: dict[str, Any] = {
    "organisation": "acme\x1b[0m",
    "running": {"used": 3, "limit": 4},
    "queued": {"used": 1200, "limit": None},
    "project_bytes": {"used": 48_200_000, "limit": 1_000_000_000},
    "artifact_bytes": {"used": 0, "limit": None},
}


def test_a_line_for_each_organisation_of_ones_own(ci: Ci, script: Script) -> None:
    script.will(
        answer([{"name": "acme"}, {"name": "o/2"}]), answer(USAGE),
        answer(USAGE | {"organisation": "o/2"}),
    )  # fmt: skip
    outcome = ci("usage")
    assert outcome.code == Exit.PASSED
    header, first, second = outcome.out.splitlines()
    assert header.split() == ["ORG", "RUNNING", "QUEUED", "PROJECTS", "ARTIFACTS"]
    assert "\x1b" not in first
    assert "3 of 4" in first
    assert "1,200 " in first
    assert "48.2 MB of 1,000.0 MB" in first
    assert first.endswith("0.0 MB")
    assert second.startswith("o/2")
    assert [seen.path for seen in script.seen][1:] == [
        "/api/v1/organisations/acme/usage",
        "/api/v1/organisations/o%2F2/usage",
    ]


def test_one_that_is_named_alone_and_as_json(ci: Ci, script: Script) -> None:
    script.will(answer(USAGE))
    outcome = ci("usage", "--org", "acme", "--json")
    assert json.loads(outcome.out) == USAGE
    (seen,) = script.seen
    assert seen.path == "/api/v1/organisations/acme/usage"


def test_without_organisations_it_says_so(ci: Ci, script: Script) -> None:
    script.will(answer([]))
    outcome = ci("usage")
    assert (outcome.code, outcome.out) == (Exit.PASSED, "")
    assert "no limits" in outcome.err


def test_one_that_is_not_there(ci: Ci, script: Script) -> None:
    script.will(problem(404, "organisation_not_found", "there is no organisation 'x'"))
    outcome = ci("usage", "--org", "x")
    assert outcome.code != Exit.PASSED
    assert "there is no organisation" in outcome.err
