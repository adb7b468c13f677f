"""The SQL of quotas: what an organisation has, what it may have, and whether one more fits."""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from ci_common.jobs import JobStatus

_RUNNING = f"status = '{JobStatus.RUNNING}'"
_QUEUED = f"status = '{JobStatus.QUEUED}'"

QUOTAS = (
    "SELECT asked.value AS organisation,"
    " coalesce(max_running, :running) AS running, coalesce(max_queued, :queued) AS queued,"
    " coalesce(max_project_bytes, :project_bytes) AS project_bytes,"
    " coalesce(max_artifact_bytes, :artifact_bytes) AS artifact_bytes"
    " FROM json_each(:organisations) AS asked"
    " LEFT JOIN organisations ON organisations.id = asked.value WHERE asked.value <> ''"
)

# The conditions of the partial indexes have to be said again, or they are not used.
_OF_ONE = "organisation = :organisation AND organisation <> ''"
RUNNING = f"SELECT count(*) FROM jobs WHERE {_OF_ONE} AND {_RUNNING}"
QUEUED = f"SELECT count(*) FROM jobs WHERE {_OF_ONE} AND {_QUEUED}"
PROJECT_BYTES = (
    f"SELECT (SELECT coalesce(sum(zip_size), 0) FROM jobs WHERE {_OF_ONE} AND stashed = 1)"
    " + (SELECT coalesce(sum(size), 0) FROM packs WHERE id IN (SELECT pack FROM job_packs"
    f" WHERE job IN (SELECT seq FROM jobs WHERE {_OF_ONE} AND stashed = 1)))"
)
ARTIFACT_BYTES = (
    "SELECT coalesce(sum(bytes), 0) FROM artifact_sums WHERE organisation = :organisation"
)
USAGE = (
    f"SELECT ({RUNNING}) AS running, ({QUEUED}) AS queued, ({PROJECT_BYTES}) AS project_bytes,"
    f" ({ARTIFACT_BYTES}) AS artifact_bytes"
)
PACK_BYTES = (
    "SELECT coalesce(sum(size), 0) FROM packs WHERE id IN (SELECT value FROM json_each(:packs))"
    " AND id NOT IN (SELECT pack FROM job_packs"
    f" WHERE job IN (SELECT seq FROM jobs WHERE {_OF_ONE} AND stashed = 1))"
)
"""Bytes of those of ``:packs`` that the organisation's kept projects do not read from already."""


def _most_running(organisation: str) -> str:
    return (
        f"coalesce((SELECT max_running FROM organisations WHERE id = {organisation}),"
        " :most_running)"
    )


def _running(organisation: str) -> str:
    return (
        f"(SELECT count(*) FROM jobs AS busy WHERE busy.organisation = {organisation}"
        f" AND busy.organisation <> '' AND busy.{_RUNNING})"
    )


def places(organisation: str) -> str:
    """Return the expression for how many more of its jobs may run, at most ``:limit``."""
    most = _most_running(organisation)
    return (
        f"CASE WHEN {organisation} = '' OR {most} = 0 THEN :limit"
        f" ELSE {most} - {_running(organisation)} END"
    )


def may_run(organisation: str) -> str:
    """Return the condition that one more of its jobs may run."""
    most = _most_running(organisation)
    return f"({organisation} = '' OR {most} = 0 OR {_running(organisation)} < {most})"
