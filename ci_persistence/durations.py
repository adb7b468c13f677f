"""How long jobs took, in SQLite."""

from collections.abc import Iterable

import msgspec

from ci_common.forecast import Durations
from ci_persistence import job_statements as sql
from ci_persistence.database import Database


async def durations(
    database: Database, projects: Iterable[tuple[str, str]], *, latest: int
) -> Durations:
    """Return seconds by organisation and project; see ``JobRepository.durations``."""
    asked = sorted(set(projects))
    found: dict[tuple[str, str | None], list[float]] = {}
    values = {"projects": _json(asked), "latest": latest}
    rows = await database.fetch_all(sql.DURATIONS, values)
    values = {"organisations": _json(sorted({each for each, _ in asked})), "latest": latest}
    for row in [*rows, *await database.fetch_all(sql.LATEST_DURATIONS, values)]:
        if row["took"] >= 0:
            key = row["organisation"], row["project"]
            found.setdefault(key, []).append(row["took"] / 1e6)
    return found


def _json(items: object) -> str:
    return msgspec.json.encode(items).decode()
