"""Results in SQLite (see ``ResultStore`` for the contract)."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from ci_common.access import Within
from ci_common.artifacts import Artifact
from ci_common.quotas import QuotaStore
from ci_common.results import (
    BAD,
    Case,
    CaseQuery,
    FlakyTest,
    LeftOut,
    Outcome,
    PastCase,
    Results,
    ResultsState,
    count,
)
from ci_persistence import result_statements as sql
from ci_persistence.database import Database, Transaction
from ci_persistence.job_rows import from_microseconds

_BATCH = 1000
"""Tests that are written in one transaction: other writes come in between."""

_MAX_SEQ = 2**63 - 1
_encoder = msgspec.json.Encoder()
_left_out_decoder = msgspec.json.Decoder(list[LeftOut])


class SQLiteResultStore:
    """The tables ``artifacts`` and ``tests``, and what the table ``results`` sums up of them."""

    def __init__(self, database: Database, quotas: QuotaStore) -> None:
        self._database = database
        self._quotas = quotas

    async def record(self, job_id: str, results: Results) -> bool:
        """Store what was collected of a job. False when its results are not pending."""
        if not await self._begin(job_id):
            return False
        for first in range(0, len(results.cases), _BATCH):
            batch = enumerate(results.cases[first : first + _BATCH], first)
            rows = [{"id": job_id, "number": number, **_columns_of(case)} for number, case in batch]
            async with self._database.transaction() as transaction:
                await transaction.execute_many(sql.ADD_CASE, rows)
        async with self._database.transaction() as transaction:
            rows = [{"id": job_id, **_artifact_columns(each)} for each in results.artifacts]
            await transaction.execute_many(sql.ADD_ARTIFACT, rows)
            if rows:
                together = sum(each.size for each in results.artifacts)
                await transaction.execute(sql.ADD_ARTIFACT_SUM, {"id": job_id, "bytes": together})
            counts = count(results.cases)
            return await _settle(
                transaction,
                job_id,
                ResultsState.COLLECTED,
                results.left_out,
                left_out_count=results.left_out_count,
                tests=_json(counts),
                coverage=_json(results.coverage),
            )

    async def give_up(self, job_id: str, reason: str) -> bool:
        """Note that nothing can be collected of a job, and why."""
        async with self._database.transaction() as transaction:
            lost = [LeftOut("", _storable(reason))]
            return await _settle(transaction, job_id, ResultsState.LOST, lost)

    async def artifact_room(self, job_id: str) -> int | None:
        """Return how many bytes of artifacts a job's organisation may have more; None for any."""
        row = await self._database.fetch_one(sql.ORGANISATION, (job_id,))
        if row is None:
            return None
        organisation = row["organisation"]
        most = (await self._quotas.quotas((organisation,)))[organisation].artifact_bytes
        if not most:
            return None
        return max(0, most - (await self._quotas.usage(organisation)).artifact_bytes)

    async def left_out(self, job_id: str) -> tuple[Sequence[LeftOut], int]:
        """Return some of the files of a job that were left out, and how many there are."""
        row = await self._database.fetch_one(sql.LEFT_OUT, (job_id,))
        if row is None or row["left_out"] is None:
            return (), 0
        return _left_out_decoder.decode(row["left_out"]), row["left_out_count"]

    async def artifacts(self, job_id: str) -> Sequence[Artifact]:
        """Return a job's artifacts by path."""
        return [_artifact(row) for row in await self._database.fetch_all(sql.ARTIFACTS, (job_id,))]

    async def cases(self, job_id: str, query: CaseQuery) -> Sequence[Case]:
        """Return tests of a job."""
        values = {
            "id": job_id,
            "outcomes": _json(query.outcomes or tuple(Outcome)),
            "text": query.text,
            "limit": query.limit,
            "offset": query.offset,
        }
        rows = await self._database.fetch_all(sql.CASES[query.slowest], values)
        return [_case(row) for row in rows]

    async def failed_tests(self, job_id: str) -> Sequence[str]:
        """Return the node ids of a job's tests that failed or met an error, in order."""
        rows = await self._database.fetch_all(sql.BAD_CASES, (job_id, _json(BAD)))
        return list(dict.fromkeys(row["node_id"] for row in rows))

    async def history(
        self,
        node_id: str,
        *,
        project: str | None,
        limit: int,
        before: int | None = None,
        within: Within = None,
    ) -> Sequence[PastCase]:
        """Return how a test ended, the newest job first."""
        values = {
            "within": _organisations(within),
            "node_id": node_id,
            "project": project,
            "before": _MAX_SEQ if before is None else before,
            "limit": limit,
        }
        return [_past(row) for row in await self._database.fetch_all(sql.HISTORY, values)]

    async def flaky(
        self, *, project: str | None, limit: int, within: Within = None
    ) -> Sequence[FlakyTest]:
        """Return tests with different outcomes on equal files in the same image."""
        values = {"project": project, "limit": limit, "within": _organisations(within)}
        rows = await self._database.fetch_all(sql.FLAKY, values)
        return [FlakyTest(**dict(row)) for row in rows]

    async def _begin(self, job_id: str) -> bool:
        """Clear away what an earlier try left; return whether there is something to collect."""
        async with self._database.transaction() as transaction:
            if await transaction.fetch_one(sql.IS_PENDING, (job_id,)) is None:
                return False
            await transaction.execute(sql.CLEAR_CASES, (job_id,))
            return True


async def _settle(
    transaction: Transaction,
    job_id: str,
    state: ResultsState,
    left_out: Sequence[LeftOut],
    *,
    left_out_count: int = 0,
    tests: str | None = None,
    coverage: str | None = None,
) -> bool:
    values = {
        "id": job_id,
        "state": state.value,
        "left_out": _json(left_out) if left_out else None,
        "left_out_count": left_out_count,
        "tests": tests,
        "coverage": coverage,
    }
    return bool(await transaction.execute(sql.SETTLE, values))


def _columns_of(case: Case) -> dict[str, Any]:
    return {
        "node_id": _storable(case.node_id),
        "classname": _storable(case.classname),
        "name": _storable(case.name),
        "file": _storable(case.file),
        "outcome": case.outcome.value,
        "duration": case.duration,
        "message": _storable(case.message),
    }


def _case(row: sqlite3.Row) -> Case:
    return Case(
        node_id=row["node_id"],
        classname=row["classname"],
        name=row["name"],
        file=row["file"],
        outcome=Outcome(row["outcome"]),
        duration=row["duration"],
        message=row["message"],
    )


def _artifact_columns(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": artifact.path,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "modified": artifact.modified,
        "executable": int(artifact.executable),
        "offset": artifact.offset,
    }


def _artifact(row: sqlite3.Row) -> Artifact:
    return Artifact(
        path=row["path"],
        size=row["size"],
        sha256=row["sha256"],
        modified=row["modified"],
        offset=row["offset"],
        executable=bool(row["executable"]),
    )


def _past(row: sqlite3.Row) -> PastCase:
    return PastCase(
        seq=row["seq"],
        job_id=row["id"],
        project=row["project"],
        ended_at=from_microseconds(row["ended_wall"]),
        outcome=Outcome(row["outcome"]),
        duration=row["duration"],
        message=row["message"],
        tree_sha256=row["tree_sha256"],
        image_id=row["image_id"],
    )


def _json(value: object) -> str | None:
    return None if value is None else _encoder.encode(value).decode()


def _organisations(within: Within) -> str | None:
    return None if within is None else _json(sorted(within))


def _storable(text: str) -> str:
    # A lone surrogate or a NUL in a test's name must not keep the others from being stored.
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
