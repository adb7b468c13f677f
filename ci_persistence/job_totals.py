"""Counts that triggers keep, read at once (see ``migrations/0008_operating.sql``)."""

from typing import Any

from ci_common.job_totals import Distribution, JobTotals
from ci_common.jobs import EndReason
from ci_persistence import job_statements as sql
from ci_persistence.database import Database
from ci_persistence.job_rows import from_microseconds


async def read_totals(database: Database) -> JobTotals:
    """Return what is known of all jobs together."""
    rows = await database.fetch_all(sql.TOTALS)
    plain: dict[str, Any] = {row["name"]: row["value"] for row in rows if not row["reason"]}
    oldest = plain.get("oldest")
    seconds: dict[str, list[Any]] = {}
    for row in await database.fetch_all(sql.SECONDS):
        seconds.setdefault(row["name"], []).append(row)
    return JobTotals(
        queued=plain["queued"],
        running=plain["running"],
        oldest_queued=None if oldest is None else from_microseconds(oldest),
        submitted=plain.get("submitted", 0),
        requeued=plain.get("requeued", 0),
        ended={
            EndReason(row["reason"]): row["value"] for row in rows if row["reason"] and row["value"]
        },
        queue_wait=_distribution(seconds["queue_wait"]),
        duration=_distribution(seconds["duration"]),
    )


def _distribution(rows: list[Any]) -> Distribution:
    return Distribution(
        buckets=tuple((row["bound"], row["count"]) for row in rows),
        sum=sum(row["sum"] for row in rows),
    )
