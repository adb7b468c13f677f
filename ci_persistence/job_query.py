"""Lists of jobs in SQLite: each walks along one index, in the order of the list.

What the index does not tell is looked up in the row. So that a list in which
hardly any row fits does not hold up everybody else, no page looks at more than
``WINDOW`` rows; it ends early then, and the next one goes on from there. Of several
organisations each has a walk of its own, and a page is what these have together.
"""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ci_common.job_query import JobFilter, JobPage, JobQuery, LabelFilter, Place
from ci_common.jobs import Job
from ci_persistence.database import Database
from ci_persistence.job_rows import COLUMNS, job_from_row, to_microseconds
from ci_persistence.job_walks import PASSED, Walk, walk_for

WINDOW = 10_000
"""Rows that one page looks at of each organisation, or of all jobs, at most."""

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class _Statement:
    """Conditions and what is bound to them."""

    def __init__(self, walk: Walk, query: JobQuery) -> None:
        self._walk = walk
        self._direction = "DESC" if query.sort.descending else "ASC"
        self._further, self._not_yet = ("<", ">=") if query.sort.descending else (">", "<=")
        self.conditions = list(walk.conditions)
        self.values = dict(walk.values)

    def require(self, condition: str, **values: Any) -> None:  # noqa: ANN401 -- as SQLite has them
        """Add a condition."""
        self.conditions.append(condition)
        self.values |= values

    def begin_behind(self, place: Place) -> None:
        """Leave out everything up to ``place``."""
        key = ":after_key" if place.key is not None else _KEY_OF_SEQ
        self.require(
            f"({self._walk.key}, {self._walk.seq}) {self._further} ({key}, :after_seq)",
            after_key=place.key,
            after_seq=place.seq,
        )

    def end_at(self, place: Place) -> None:
        """Leave out everything behind ``place``."""
        self.require(
            f"({self._walk.key}, {self._walk.seq}) {self._not_yet} (:stop_key, :stop_seq)",
            stop_key=place.key,
            stop_seq=place.seq,
        )

    def text(self, columns: str, *, tail: str = "LIMIT :limit") -> str:
        """Return the statement."""
        walk = self._walk
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        return (
            f"SELECT {walk.key} AS place_key, {walk.seq} AS place_seq{columns}"
            f" FROM {walk.source}{where}"
            f" ORDER BY {walk.key} {self._direction}, {walk.seq} {self._direction} {tail}"
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """Jobs with the keys and numbers by which they are in order, and where it goes on."""

    placed: Sequence[tuple[int, int, Job]]
    end: Place | None


_KEY_OF_SEQ = "(SELECT created_wall FROM jobs WHERE seq <= :after_seq ORDER BY seq DESC LIMIT 1)"


async def list_jobs(database: Database, query: JobQuery, *, window: int = WINDOW) -> JobPage:
    """Return a page; see ``JobRepository.list_jobs``. ``window``: rows to look at, at most."""
    within = query.filter.within
    organisations = (None,) if within is None else sorted(within)
    parts = [await _read(database, query, window, each) for each in organisations]
    return _together(parts, query)


async def _read(
    database: Database, query: JobQuery, window: int, organisation: str | None
) -> _Part:
    """Return a page of one organisation's jobs, or of all."""
    walk = walk_for(query, organisation)
    statement = _Statement(walk, query)
    if query.after is not None:
        statement.begin_behind(query.after)
    _bound_times(statement, walk.key, query)
    rest = _Statement(Walk(""), query)
    _add_rest(rest, query.filter, walk.told)
    end = None
    if rest.conditions:
        end = await _end_of_window(database, statement, max(window, query.limit))
        if end is not None:
            statement.end_at(end)
        statement.require(" AND ".join(rest.conditions), **rest.values)
    values = {**statement.values, "limit": query.limit + 1}
    rows = await database.fetch_all(statement.text(f", {COLUMNS}"), values)
    if len(rows) > query.limit:
        rows = rows[: query.limit]
        end = Place(rows[-1]["place_seq"], rows[-1]["place_key"])
    placed = [(row["place_key"], row["place_seq"], job_from_row(row)) for row in rows]
    return _Part(placed, end)


def _together(parts: Sequence[_Part], query: JobQuery) -> JobPage:
    """Return the page that several make: as far as each of them leads."""
    descending = query.sort.descending
    ends = [(part.end.key or 0, part.end.seq) for part in parts if part.end is not None]
    end = (max if descending else min)(ends, default=None)
    placed = sorted(
        (each for part in parts for each in part.placed),
        key=lambda each: each[:2],
        reverse=descending,
    )
    if end is not None:
        placed = [each for each in placed if (each[:2] >= end if descending else each[:2] <= end)]
    if len(placed) > query.limit:
        placed = placed[: query.limit]
        end = placed[-1][:2]
    following = None if end is None else Place(seq=end[1], key=end[0])
    return JobPage([job for *_, job in placed], following)


async def _end_of_window(database: Database, statement: _Statement, window: int) -> Place | None:
    """Return the last place to look at, None if the list ends before."""
    text = statement.text("", tail="LIMIT 1 OFFSET :skipped")
    row = await database.fetch_one(text, {**statement.values, "skipped": window - 1})
    return Place(row["place_seq"], row["place_key"]) if row else None


def _bound_times(statement: _Statement, key: str, query: JobQuery) -> None:
    """Require the times of submission; a bound that ``after`` has passed is left out."""
    asked, walked = query.filter, query.sort.field == "created"
    passed = walked and query.after is not None
    column = key if walked else "created_wall"
    if asked.since is not None and not (passed and not query.sort.descending):
        statement.require(f"{column} >= :since", since=to_microseconds(asked.since))
    if asked.until is not None and not (passed and query.sort.descending):
        statement.require(f"{column} < :until", until=to_microseconds(asked.until))


def _add_rest(statement: _Statement, asked: JobFilter, told: frozenset[str | LabelFilter]) -> None:
    """Require what the walk does not tell."""
    for column, chosen in (
        ("status", asked.statuses),
        ("reason", asked.reasons),
        ("project", asked.projects),
        ("submitter", asked.submitters),
        ("concurrency_group", asked.groups),
    ):
        if chosen and column not in told:
            statement.require(
                f"{column} IN (SELECT value FROM json_each(:any_{column}))",
                **{f"any_{column}": _json(chosen)},
            )
    if asked.success is not None and "success" not in told:
        statement.require(f"reason {'=' if asked.success else '<>'} '{PASSED}'")
    for number, label in enumerate(sorted(asked.labels - told, key=_name_and_value)):
        _require_label(statement, label, number)
    for number, text in enumerate(sorted(asked.texts)):
        name = f"text_{number}"
        statement.require(_CONTAINS.replace(":text", f":{name}"), **{name: _lowered(text)})


def _require_label(statement: _Statement, label: LabelFilter, number: int) -> None:
    name, value = f"label_{number}", f"value_{number}"
    same_value = "" if label.value is None else f" AND value = :{value}"
    statement.require(
        f"EXISTS (SELECT 1 FROM job_labels WHERE job = seq AND name = :{name}{same_value})",
        **{name: label.name, value: label.value},
    )


# instr() knows no patterns, so that there is nothing to escape; lower() changes ASCII only.
_CONTAINS = (
    "(instr(id, :text) = 1"
    + "".join(
        f" OR instr(lower({place}), :text)"
        for place in (
            "project",
            "submitter",
            "detail",
            "(SELECT group_concat(value, ' ') FROM json_each(recipe, '$.command'))",
        )
    )
    + " OR EXISTS (SELECT 1 FROM job_labels"
    " WHERE job = seq AND instr(lower(name || '=' || value), :text)))"
)


def _name_and_value(label: LabelFilter) -> tuple[str, str]:
    return label.name, label.value or ""


def _lowered(text: str) -> str:
    return text.translate(_ASCII_LOWER)


def _json(values: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(values)).decode()
