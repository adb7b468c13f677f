"""Lists of jobs in SQLite: each walks along one index, in the order of the list.

What the index does not tell is looked up in the row. So that a list in which
hardly any row fits does not hold up everybody else, no page looks at more than
``WINDOW`` rows; it ends early then, and the next one goes on from there.
"""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ci_common.job_query import JobFilter, JobPage, JobQuery, LabelFilter, Place
from ci_common.jobs import EndReason, JobStatus
from ci_persistence.database import Database
from ci_persistence.job_rows import COLUMNS, job_from_row, to_microseconds

WINDOW = 10_000
"""Rows that one page looks at, at most."""

_UNENDED = frozenset(status for status in JobStatus if not status.ended)
_PASSED = EndReason.PASSED.value
_KEYS = {
    "created": "created_wall",
    "ended": "ended_wall",
    "duration": "ended_wall - started_wall",
}
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class _Walk:
    """An index, and which part of it: what each of its rows fulfils of a filter is ``told``."""

    source: str
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    told: frozenset[str | LabelFilter] = frozenset()
    key: str = "created_wall"
    seq: str = "seq"


class _Statement:
    """Conditions and what is bound to them."""

    def __init__(self, walk: _Walk, query: JobQuery) -> None:
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


_KEY_OF_SEQ = "(SELECT created_wall FROM jobs WHERE seq <= :after_seq ORDER BY seq DESC LIMIT 1)"


async def list_jobs(database: Database, query: JobQuery, *, window: int = WINDOW) -> JobPage:
    """Return a page; see ``JobRepository.list_jobs``. ``window``: rows to look at, at most."""
    walk = _walk(query)
    statement = _Statement(walk, query)
    if query.after is not None:
        statement.begin_behind(query.after)
    _bound_times(statement, walk.key, query)
    rest = _Statement(_Walk(""), query)
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
    return JobPage([job_from_row(row) for row in rows], end)


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


def _walk(query: JobQuery) -> _Walk:
    """Return the narrowest walk for a query."""
    if query.sort.field == "ended":
        return _Walk("jobs INDEXED BY jobs_ended", ("ended_wall IS NOT NULL",), key="ended_wall")
    if query.sort.field == "duration":
        return _Walk(
            "jobs INDEXED BY jobs_duration",
            ("ended_wall IS NOT NULL", "started_wall IS NOT NULL"),
            key=_KEYS["duration"],
        )
    return _walk_by_creation(query.filter)


def _walk_by_creation(asked: JobFilter) -> _Walk:
    label = min((label for label in asked.labels if label.value is not None), default=None)
    if label is not None:
        return _Walk(
            "job_labels AS walked CROSS JOIN jobs ON jobs.seq = walked.job",
            ("walked.name = :walked_name", "walked.value = :walked_value"),
            {"walked_name": label.name, "walked_value": label.value},
            told=frozenset({label}),
            key="walked.created",
            seq="walked.job",
        )
    for column, chosen, index in (
        ("concurrency_group", asked.groups, "jobs_of_group"),
        ("submitter", asked.submitters, "jobs_of_submitter"),
    ):
        if len(chosen) == 1 and "" not in chosen:
            conditions = (f"{column} = :walked", f"{column} <> ''")
            bound, told = {"walked": min(chosen)}, frozenset({column})
            return _Walk(f"jobs INDEXED BY {index}", conditions, bound, told)
    if asked.statuses and asked.statuses <= _UNENDED:
        return _Walk("jobs INDEXED BY jobs_unended", ("reason IS NULL",))
    if len(asked.projects) == 1:
        return _Walk(
            "jobs INDEXED BY jobs_of_project",
            ("project = :walked",),
            {"walked": min(asked.projects)},
            frozenset({"project"}),
        )
    if _wants_no_pass(asked):
        nothing_more = frozenset({"success"} if asked.success is False else ())
        only = (f"reason <> '{_PASSED}'",)
        return _Walk("jobs INDEXED BY jobs_unsuccessful", only, told=nothing_more)
    return _Walk("jobs INDEXED BY jobs_created")


def _wants_no_pass(asked: JobFilter) -> bool:
    return (
        asked.success is False
        or (bool(asked.reasons) and EndReason.PASSED not in asked.reasons)
        or asked.statuses == {JobStatus.CANCELLED}
    )


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
        statement.require(f"reason {'=' if asked.success else '<>'} '{_PASSED}'")
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
