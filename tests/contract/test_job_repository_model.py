"""Any run of calls gives the same answers from SQLite as from the few lines in memory."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.accounts import Organisation
from ci_common.errors import CIError
from ci_common.job_repository import JobRepository
from ci_common.jobs import EndReason, GroupPolicy, Result
from ci_common.quotas import Quotas
from ci_persistence.jobs import SQLiteJobRepository
from tests.fakes.clock import FakeClock
from tests.fakes.repository import InMemoryJobRepository, new_job

NOW = FakeClock().now()
_DIGITS = ("aaaaaaaa", "aaaaaaab", "bbbbbbbb", "bbbbbbbc")
IDS = [f"{digits}-0000-4000-8000-000000000000" for digits in _DIGITS]
LATER = NOW.earlier(-30)


@dataclass(frozen=True)
class Call:
    """One call of the contract."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


def call(method: str, *arguments: Any, **options: Any) -> st.SearchStrategy[Call]:
    return st.builds(Call, st.just(method), st.tuples(*arguments), st.fixed_dictionaries(options))


job_ids = st.sampled_from(IDS)
attempts = st.integers(0, 3)
holds = st.none() | st.sampled_from([-5, 0, 5, 3600]).map(lambda s: NOW.wall + timedelta(seconds=s))
reasons = st.sampled_from(EndReason)
limits = st.integers(0, 4)

adds = st.builds(
    lambda job_id, organisation, priority, key, submitter, group, policy, queue_timeout: new_job(
        id=job_id,
        organisation=organisation,
        priority=priority,
        idempotency_key=key,
        fingerprint=f"{key}{job_id[:8]}",
        submitter=submitter,
        group=group,
        group_policy=policy,
        queue_timeout=queue_timeout,
    ),
    job_ids,
    st.sampled_from(["", "o1", "o2"]),
    st.integers(-1, 1),
    st.sampled_from([None, None, "k"]),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["", "g", "g"]),
    st.sampled_from(GroupPolicy),
    st.sampled_from([None, 1.0, 60.0]),
)
results = st.builds(
    lambda reason, code: Result(reason=reason, exit_code=code, detail="why"),
    reasons,
    st.none() | st.integers(0, 255),
)
calls = st.one_of(
    call("add", adds),
    call("claim", job_ids, attempt=attempts, now=st.just(NOW)),
    call("record_container", job_ids, attempt=attempts, container=st.just("c"), log_base=limits),
    call("record_fed", job_ids, attempt=attempts),
    call("record_stop", job_ids, attempt=attempts, reason=reasons),
    call("cancel", job_ids, now=st.just(NOW)),
    call("expire", job_ids, detail=st.just("it waited"), now=st.just(NOW)),
    call("release", st.lists(job_ids, max_size=2)),
    call("finish", job_ids, attempt=attempts, result=results, now=st.just(NOW)),
    call(
        "requeue",
        job_ids,
        attempt=attempts,
        charged=st.booleans(),
        detail=st.just("again"),
        hold_until=holds,
    ),
)
reads: Sequence[Call] = [
    *(Call(method, (job_id,), {}) for method in ("get", "queue_position") for job_id in IDS),
    *(Call("find", (reference,), {}) for reference in ("aaaa", "aaaaaaaa", "b", "last", IDS[0])),
    Call("list_recent", (), {"limit": 10}),
    Call("list_recent", (), {"limit": 1, "before": 2}),
    Call("startable", (), {"limit": 2, "now": NOW.wall}),
    Call("startable", (), {"limit": 10, "now": NOW.wall}),
    Call("overdue", (), {"limit": 10, "now": LATER}),
    *(Call("packs_of", (job_id,), {}) for job_id in IDS),
    Call("stashed_bytes", (), {}),
    Call("oldest_stashed", (), {"limit": 10, "before": LATER}),
    Call("running", (), {}),
    Call("count", (), {}),
]
QUOTAS = {
    "o1": Quotas(running=1, queued=2),
    "o2": Quotas(running=2, project_bytes=50),
}


async def answer(repository: JobRepository, asked: Call) -> object:
    try:
        return await getattr(repository, asked.method)(*asked.arguments, **asked.options)
    except CIError as error:
        return error.code


async def compare(sequence: Sequence[Call], folder: Path) -> None:
    model = InMemoryJobRepository(folder)
    repository = SQLiteJobRepository(folder / "jobs.db")
    await repository.initialize()
    model.quotas.most.update(QUOTAS)
    for name, quotas in QUOTAS.items():
        await repository.accounts.add_organisation(
            Organisation(
                id=name,
                name=name,
                created_at=NOW.wall,
                max_running=quotas.running,
                max_queued=quotas.queued,
                max_project_bytes=quotas.project_bytes,
            )
        )
    try:
        known: set[str] = set()
        for asked in sequence:
            if asked.method == "add" and asked.arguments[0].id in known:
                continue  # two jobs of one id are a mistake of the caller
            expected = await answer(model, asked)
            assert await answer(repository, asked) == expected, asked
            known = set(model._jobs)
        for asked in reads:
            assert await answer(repository, asked) == await answer(model, asked), asked
        for name in QUOTAS:
            assert await repository.quotas.usage(name) == await model.quotas.usage(name)
    finally:
        await repository.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(calls, max_size=25))
def test_any_run_of_calls_is_answered_alike(sequence):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(sequence, Path(folder)))
