"""A job as a row of the table ``jobs``, and back."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ci_common.clock import Moment
from ci_common.jobs import EndReason, GroupPolicy, Job, JobStatus, NewJob
from ci_common.recipe import Recipe
from ci_common.results import Counts, Coverage, ResultsState

COLUMNS = (
    "id, seq, status, recipe, created_wall, zip_path, zip_size, zip_sha256, organisation,"
    " project, priority, submitter, labels, concurrency_group, group_policy, queue_timeout,"
    " retry_of, tree_sha256, image_id, stashed, attempt, faults, max_attempts, preparing,"
    " container, log_base, log_settled, fed, started_wall, started_uptime, started_boot,"
    " ended_wall, hold_until, stop_reason, reason, exit_code, detail, traceparent,"
    " preparing_wall, container_wall, fed_wall,"
    " (SELECT json_object('state', state, 'tests', json(tests), 'coverage', json(coverage))"
    " FROM results WHERE job = jobs.seq) AS results"
)
"""What ``job_from_row`` needs. Named one by one: a later migration may add columns."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _ResultsSummary(msgspec.Struct):
    state: ResultsState = ResultsState.NONE
    tests: Counts | None = None
    coverage: Coverage | None = None


_NO_RESULTS = _ResultsSummary()
_results_decoder = msgspec.json.Decoder(_ResultsSummary)
_encoder = msgspec.json.Encoder()
_recipe_decoder = msgspec.json.Decoder(Recipe)
_labels_decoder = msgspec.json.Decoder(dict[str, str])


def to_microseconds(when: datetime) -> int:
    """Return the whole microseconds from 1970 to ``when``, exactly."""
    return (when - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the moment in UTC that ``to_microseconds`` was given."""
    return _EPOCH + value * _MICROSECOND


def moment_columns(prefix: str, moment: Moment) -> dict[str, Any]:
    """Return the three columns of a moment."""
    return {
        f"{prefix}_wall": to_microseconds(moment.wall),
        f"{prefix}_uptime": moment.uptime,
        f"{prefix}_boot": moment.boot_id,
    }


def columns_of(new: NewJob) -> Mapping[str, Any]:
    """Return the columns of a job that comes in, all but its status."""
    return {
        "id": new.id,
        "organisation": new.organisation,
        "project": new.project,
        "priority": new.priority,
        "recipe": _encoder.encode(new.recipe).decode(),
        "zip_path": new.zip_path,
        "zip_size": new.zip_size,
        "zip_sha256": new.zip_sha256,
        "idempotency_key": new.idempotency_key,
        "fingerprint": new.fingerprint,
        "max_attempts": new.max_attempts,
        "submitter": new.submitter,
        "labels": _encoder.encode(new.labels).decode(),
        "concurrency_group": new.group,
        "group_policy": new.group_policy.value,
        "queue_timeout": new.queue_timeout,
        "queue_deadline": _deadline(new),
        "retry_of": new.retry_of,
        "tree_sha256": new.tree_sha256,
        "traceparent": new.traceparent,
        **moment_columns("created", new.created),
    }


def _deadline(new: NewJob) -> int | None:
    if new.queue_timeout is None:
        return None
    return to_microseconds(new.created.wall + timedelta(seconds=new.queue_timeout))


def job_from_row(row: sqlite3.Row) -> Job:
    """Return the job in a row that has ``COLUMNS``."""
    found = row["results"]
    results = _NO_RESULTS if found is None else _results_decoder.decode(found)
    return Job(
        id=row["id"],
        seq=row["seq"],
        status=JobStatus(row["status"]),
        recipe=_recipe_decoder.decode(row["recipe"]),
        created_at=from_microseconds(row["created_wall"]),
        zip_path=row["zip_path"],
        zip_size=row["zip_size"],
        zip_sha256=row["zip_sha256"],
        organisation=row["organisation"],
        project=row["project"],
        priority=row["priority"],
        submitter=row["submitter"],
        labels=_labels_decoder.decode(row["labels"]),
        group=row["concurrency_group"],
        group_policy=GroupPolicy(row["group_policy"]),
        queue_timeout=row["queue_timeout"],
        retry_of=row["retry_of"],
        tree_sha256=row["tree_sha256"],
        image_id=row["image_id"],
        stashed=bool(row["stashed"]),
        attempt=row["attempt"],
        faults=row["faults"],
        max_attempts=row["max_attempts"],
        preparing=row["preparing"],
        container=row["container"],
        log_base=row["log_base"],
        log_settled=row["log_settled"],
        fed=bool(row["fed"]),
        started=_started(row),
        end_time=_when(row["ended_wall"]),
        hold_until=_when(row["hold_until"]),
        stop_reason=_reason(row["stop_reason"]),
        reason=_reason(row["reason"]),
        exit_code=row["exit_code"],
        detail=row["detail"],
        traceparent=row["traceparent"],
        preparing_at=_when(row["preparing_wall"]),
        container_at=_when(row["container_wall"]),
        fed_at=_when(row["fed_wall"]),
        results=results.state,
        tests=results.tests,
        coverage=results.coverage,
    )


def _started(row: sqlite3.Row) -> Moment | None:
    wall = _when(row["started_wall"])
    return Moment(wall, row["started_uptime"], row["started_boot"]) if wall else None


def _reason(value: str | None) -> EndReason | None:
    return None if value is None else EndReason(value)


def _when(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)
