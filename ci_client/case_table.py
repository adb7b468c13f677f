"""Tests as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.table import aligned, time_of
from ci_client.terminal import printable

_SHORT_ID = 8
_SHORT_HASH = 8


def case_lines(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each test of a job, with the first line of its message below it."""
    rows = aligned(
        [
            (str(case["outcome"]), f"{case['duration']:.3f} s", printable(str(case["node_id"])))
            for case in cases
        ]
    )
    lines = []
    for row, case in zip(rows, cases, strict=True):
        lines.append(row)
        if message := str(case.get("message") or "").strip():
            lines.append(f"    {printable(message.splitlines()[0])}")
    return lines


def history_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each run of a test; nothing for no runs."""
    header = ("JOB", "ENDED", "OUTCOME", "TOOK", "PROJECT", "FILES")
    rows = [
        (
            str(run["job_id"])[:_SHORT_ID],
            time_of(run["ended_at"]),
            str(run["outcome"]),
            f"{run['duration']:.3f} s",
            printable(str(run["project"])),
            str(run["tree_sha256"] or "")[:_SHORT_HASH],
        )
        for run in runs
    ]
    return aligned([header, *rows]) if rows else []


def flaky_lines(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each flaky test; nothing for none."""
    header = ("PASSED", "FAILED", "PROJECT", "FAILED LAST IN", "TEST")
    rows = [
        (
            str(test["passed"]),
            str(test["failed"]),
            printable(str(test["project"])),
            str(test["last_failed_job"])[:_SHORT_ID],
            printable(str(test["node_id"])),
        )
        for test in tests
    ]
    return aligned([header, *rows]) if rows else []
