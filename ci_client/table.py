"""Jobs as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.terminal import duration, printable
from ci_client.verdict import seconds_of, state_of

_SHORT_ID = 8
_HEADER = ("JOB", "STATE", "PROJECT", "SUBMITTED", "TOOK")


def jobs_table(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each job, aligned; nothing for no jobs.

    Ids are cut to what tells the jobs apart.
    """
    if not jobs:
        return []
    width = _id_width([str(job["job_id"]) for job in jobs])
    return aligned([_HEADER, *(_row(job, width) for job in jobs)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, with its cells below those of the row before."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(job: Mapping[str, Any], id_width: int) -> tuple[str, ...]:
    return (
        str(job["job_id"])[:id_width],
        state_of(job),
        printable(str(job.get("project") or "")),
        time_of(job.get("created_at")),
        _took(job),
    )


def job_lines(job: Mapping[str, Any]) -> list[str]:
    """Return what there is to know of a job, one fact a line."""
    facts = {
        "job": job["job_id"],
        "state": state_of(job),
        "waits": job.get("waiting"),
        "expected": _expected("starts", job.get("expected_start")),
        "organisation": job.get("organisation"),
        "project": job.get("project"),
        "submitter": job.get("submitter"),
        "labels": ", ".join(_label(*each) for each in (job.get("labels") or {}).items()),
        "priority": job.get("priority") or None,
        "group": job.get("group"),
        "retry of": job.get("retry_of"),
        "command": job.get("command"),
        "image": job.get("image"),
        "submitted": time_of(job.get("created_at")),
        "started": time_of(job.get("start_time")),
        "ended": time_of(job.get("end_time")),
        "took": _took(job),
        "exit code": job.get("exit_code"),
        "attempt": job.get("attempt"),
        "tests": counts_of(job),
        "coverage": coverage_of(job.get("coverage")),
        "results": {"pending": "being collected", "lost": "lost"}.get(str(job.get("results"))),
        "detail": job.get("detail"),
    }
    shown = {name: printable(str(fact)) for name, fact in facts.items() if fact not in (None, "")}
    width = max(map(len, shown))
    return [f"{name.ljust(width)}  {fact}" for name, fact in shown.items()]


_QUEUE_HEADER = ("TURN", "JOB", "PROJECT", "SINCE", "EXPECTED", "")


def queue_table(queue: Mapping[str, Any]) -> list[str]:
    """Return a header and a line for each job that runs or waits, aligned; nothing for none."""
    running, queued = queue["running"], queue["queued"]
    if not running and not queued:
        return []
    width = _id_width([str(job["job_id"]) for job in (*running, *queued)])
    rows = [
        ("runs", job, job["start_time"], _expected("ends", job["expected_end"]), job["stopping"])
        for job in running
    ] + [
        (
            f"#{job['position']}",
            job,
            job["waiting_since"],
            _expected("starts", job["expected_start"]),
            job["waiting"],
        )
        for job in queued
    ]
    return aligned([_QUEUE_HEADER, *(_queue_row(row, width) for row in rows)])


def _queue_row(
    row: tuple[str, Mapping[str, Any], object, str, object], id_width: int
) -> tuple[str, ...]:
    turn, job, since, expected, note = row
    job_id, project = str(job["job_id"])[:id_width], printable(str(job["project"]))
    return turn, job_id, project, time_of(since), expected, printable(str(note or ""))


def _expected(what: str, when: object) -> str:
    return f"{what} {time_of(when)}" if when else ""


def counts_of(job: Mapping[str, Any]) -> str:
    """Return how many tests ended how, in words; ``""`` if that is not known."""
    from ci_client.terminal import count

    counts = job.get("tests")
    if not isinstance(counts, dict):
        return ""
    names = {"passed": "passed", "failed": "failed", "xfailed": "xfailed", "skipped": "skipped"}
    parts = [f"{counts[key]} {name}" for key, name in names.items() if counts.get(key)]
    parts += [count(counts["error"], "error")] if counts.get("error") else []
    return ", ".join(parts)


def coverage_of(coverage: object) -> str:
    """Return how much of the code ran, in words; ``""`` if that is not known."""
    if not isinstance(coverage, dict):
        return ""
    branches = coverage.get("branch_rate")
    told = f"{coverage['line_rate']:.1%} of lines"
    told += "" if branches is None else f", {branches:.1%} of branches"
    return f"{told} ({coverage['source']})" if coverage.get("source") else told


def _label(name: str, value: str) -> str:
    return f"{name}={value}" if value else name


def _id_width(ids: Sequence[str]) -> int:
    for width in range(_SHORT_ID, max(map(len, ids))):
        if len({job_id[:width] for job_id in ids}) == len(ids):
            return width
    return max(map(len, ids))


def time_of(when: object) -> str:
    """Return a time of the wire, to the second."""
    text = str(when or "")
    return f"{text[:10]} {text[11:19]}Z" if text else ""


def _took(job: Mapping[str, Any]) -> str:
    seconds = seconds_of(job)
    return "" if seconds is None else duration(seconds)
