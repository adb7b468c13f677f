"""How long jobs took, in SQLite."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ci_persistence import job_statements as sql
from ci_persistence.database import Database


async def durations(
    database: Database, projects: Iterable[str], *, latest: int
) -> Mapping[str | None, Sequence[float]]:
    """Return seconds by project, and of all under None; see ``JobRepository.durations``."""
    asked = msgspec.json.encode(sorted(set(projects))).decode()
    found: dict[str | None, list[float]] = {}
    rows = await database.fetch_all(sql.DURATIONS, {"projects": asked, "latest": latest})
    taken = [(row["project"], row["took"]) for row in rows]
    rows = await database.fetch_all(sql.LATEST_DURATIONS, {"latest": latest})
    taken += [(None, row["took"]) for row in rows]
    for project, microseconds in taken:
        if microseconds >= 0:
            found.setdefault(project, []).append(microseconds / 1e6)
    return found
