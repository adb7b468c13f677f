"""Which index a list of jobs walks along, and what that tells of its filter.

All of them go by the order of the list. Those of an organisation hold nothing of
others, so that what it asks costs the same however many jobs the others have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ci_common.job_query import JobFilter, JobQuery, LabelFilter
from ci_common.jobs import EndReason, JobStatus

PASSED = EndReason.PASSED.value

_UNENDED = frozenset(status for status in JobStatus if not status.ended)
_DURATION = "ended_wall - started_wall"
_ENDED = "ended_wall IS NOT NULL"
_STARTED = "started_wall IS NOT NULL"
_NOT_ENDED = "reason IS NULL"


@dataclass(frozen=True, slots=True)
class Walk:
    """An index, and which part of it: what each of its rows fulfils of a filter is ``told``."""

    source: str
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    told: frozenset[str | LabelFilter] = frozenset()
    key: str = "created_wall"
    seq: str = "seq"


def walk_for(query: JobQuery, organisation: str | None) -> Walk:
    """Return the narrowest walk for a query, of one organisation's jobs or, with None, of all."""
    if organisation is not None:
        return _walk_of_organisation(query, organisation)
    if query.sort.field == "ended":
        return Walk("jobs INDEXED BY jobs_ended", (_ENDED,), key="ended_wall")
    if query.sort.field == "duration":
        return Walk("jobs INDEXED BY jobs_duration", (_ENDED, _STARTED), key=_DURATION)
    return _walk_by_creation(query.filter)


def _walk_of_organisation(query: JobQuery, organisation: str) -> Walk:
    asked = query.filter
    walk = Walk(
        "jobs INDEXED BY jobs_of_organisation",
        ("organisation = :organisation", "organisation <> ''"),
        {"organisation": organisation},
    )
    if query.sort.field == "ended":
        return _narrowed(walk, "jobs_ended_of_organisation", _ENDED, key="ended_wall")
    if query.sort.field == "duration":
        only = f"{_ENDED} AND {_STARTED}"
        return _narrowed(walk, "jobs_duration_of_organisation", only, key=_DURATION)
    if asked.statuses and asked.statuses <= _UNENDED:
        return _narrowed(walk, "jobs_unended_of_organisation", _NOT_ENDED)
    if len(asked.projects) == 1:
        values = {"organisation": organisation, "walked": min(asked.projects)}
        return replace(
            _narrowed(walk, "jobs_of_organisation_project", "project = :walked"),
            values=values,
            told=frozenset({"project"}),
        )
    return walk


def _narrowed(walk: Walk, index: str, condition: str, key: str = "created_wall") -> Walk:
    conditions = (*walk.conditions, condition)
    return replace(walk, source=f"jobs INDEXED BY {index}", conditions=conditions, key=key)


def _walk_by_creation(asked: JobFilter) -> Walk:
    label = min((label for label in asked.labels if label.value is not None), default=None)
    if label is not None:
        return Walk(
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
            return Walk(f"jobs INDEXED BY {index}", conditions, bound, told)
    if asked.statuses and asked.statuses <= _UNENDED:
        return Walk("jobs INDEXED BY jobs_unended", (_NOT_ENDED,))
    if len(asked.projects) == 1:
        return Walk(
            "jobs INDEXED BY jobs_of_project",
            ("project = :walked",),
            {"walked": min(asked.projects)},
            frozenset({"project"}),
        )
    if _wants_no_pass(asked):
        nothing_more = frozenset({"success"} if asked.success is False else ())
        only = (f"reason <> '{PASSED}'",)
        return Walk("jobs INDEXED BY jobs_unsuccessful", only, told=nothing_more)
    return Walk("jobs INDEXED BY jobs_created")


def _wants_no_pass(asked: JobFilter) -> bool:
    return (
        asked.success is False
        or (bool(asked.reasons) and EndReason.PASSED not in asked.reasons)
        or asked.statuses == {JobStatus.CANCELLED}
    )
