"""What every store keeps about results: seen whole or not at all, and gone with their job."""

import pytest

from ci_common.artifacts import Artifact
from ci_common.jobs import EndReason, Result
from ci_common.results import (
    Case,
    CaseQuery,
    Coverage,
    LeftOut,
    Outcome,
    Results,
    ResultsState,
)
from tests.contract.job_states import NOW, PASSED, ended, ids, running

P, F, E, S, X = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.SKIPPED,
    Outcome.XFAILED,
)


def case(node_id: str, outcome: Outcome = P, duration: float = 0.0, message: str = "") -> Case:
    return Case(
        node_id=node_id,
        classname="c",
        name=node_id,
        file="f.py",
        outcome=outcome,
        duration=duration,
        message=message,
    )


def artifact(path: str, offset: int = 512) -> Artifact:
    return Artifact(path=path, size=3, sha256="ab", modified=7, offset=offset, executable=True)


async def pending(repository, *, image_id: str | None = None, **overrides):
    job = await running(repository, **overrides)
    assert await repository.record_fed(job.id, attempt=1, image_id=image_id)
    assert await repository.finish(job.id, attempt=1, result=PASSED, now=NOW, collect=True)
    return await repository.get(job.id)


async def collected(repository, *cases: Case, **overrides):
    job = await pending(repository, **overrides)
    assert await repository.results.record(job.id, Results(cases=cases))
    return await repository.get(job.id)


async def test_results_are_pending_only_if_the_end_says_so(repository, peer):
    plain, waiting = await ended(repository), await pending(repository)
    assert (plain.results, waiting.results) == (ResultsState.NONE, ResultsState.PENDING)
    assert ids(await peer.uncollected(limit=10)) == [waiting.id]
    assert await peer.uncollected(limit=0) == []


async def test_an_end_that_changed_nothing_leaves_nothing_pending(repository):
    job = await running(repository)
    assert not await repository.finish(job.id, attempt=2, result=PASSED, now=NOW, collect=True)
    assert await repository.uncollected(limit=10) == []


async def test_what_is_recorded_is_there(repository, peer):
    job = await pending(repository)
    cases = (
        case("b", F, 2.0, "Oh NO"),
        case("a", P, 1.0),
        case("c", S),
        case("d", E),
        case("e", X),
    )
    results = Results(
        artifacts=(artifact("z"), artifact("a/b", 1024)),
        cases=cases,
        coverage=Coverage(line_rate=0.5, branch_rate=None, source="c.xml"),
        left_out=(LeftOut("big", "too big"),),
        left_out_count=3,
    )
    assert await repository.results.record(job.id, results)
    seen = await peer.get(job.id)
    assert seen.results is ResultsState.COLLECTED
    assert seen.coverage == results.coverage
    counts = seen.tests
    assert (counts.passed, counts.failed, counts.error, counts.skipped, counts.xfailed) == (
        1, 1, 1, 1, 1,
    )  # fmt: skip
    assert counts.duration == 3.0
    store = peer.results
    assert await store.artifacts(job.id) == [artifact("a/b", 1024), artifact("z")]
    named, count = await store.left_out(job.id)
    assert (list(named), count) == ([LeftOut("big", "too big")], 3)
    assert await store.cases(job.id, CaseQuery()) == list(cases)
    assert await store.failed_tests(job.id) == ["b", "d"]
    assert await peer.uncollected(limit=10) == []


async def test_tests_can_be_asked_for(repository):
    cases = [case(f"t{n}", F if n % 2 else P, duration=n, message="Oh NO") for n in range(6)]
    job = await collected(repository, *cases)

    async def asked(**query) -> list[str]:
        return [each.node_id for each in await repository.results.cases(job.id, CaseQuery(**query))]

    assert await asked(outcomes=(F,)) == ["t1", "t3", "t5"]
    assert await asked(slowest=True, limit=2) == ["t5", "t4"]
    assert await asked(limit=2, offset=4) == ["t4", "t5"]
    assert await asked(text="T3") == ["t3"]
    assert len(await asked(text="oh no")) == 6
    assert await asked(text="%") == []


async def test_many_tests_keep_their_order(repository):
    job = await collected(repository, *(case(f"t{n}") for n in range(2500)))
    found = await repository.results.cases(job.id, CaseQuery(limit=5000))
    assert [each.node_id for each in found] == [f"t{n}" for n in range(2500)]


async def test_nothing_is_recorded_twice_or_for_others(repository, peer):
    job = await collected(repository, case("first"))
    assert not await peer.results.record(job.id, Results(cases=(case("second"),)))
    assert not await peer.results.give_up(job.id, "late")
    assert [each.node_id for each in await peer.results.cases(job.id, CaseQuery())] == ["first"]
    plain = await ended(repository)
    assert not await peer.results.record(plain.id, Results(cases=(case("x"),)))
    assert (await peer.get(plain.id)).results is ResultsState.NONE
    assert not await peer.results.record("no-such-job", Results())


async def test_what_is_lost_says_why(repository, peer):
    job = await pending(repository)
    assert await repository.results.give_up(job.id, "gone")
    assert (await peer.get(job.id)).results is ResultsState.LOST
    named, _ = await peer.results.left_out(job.id)
    assert [each.reason for each in named] == ["gone"]


async def test_results_go_with_their_job(repository):
    job = await pending(repository)
    results = Results(artifacts=(artifact("a"),), cases=tuple(case(f"t{n}") for n in range(6000)))
    await repository.results.record(job.id, results)
    other = await collected(repository, case("t1"))
    assert await repository.forget([job.id]) == 1
    assert await repository.results.artifacts(job.id) == []
    assert await repository.results.cases(job.id, CaseQuery()) == []
    past = await repository.results.history("t1", project=None, limit=10)
    assert [each.job_id for each in past] == [other.id]


async def test_a_tests_past_is_told_newest_first(repository):
    first = await collected(repository, case("t", F, 1.5, "why"), project="a")
    second = await collected(repository, case("t"), case("u"), project="b")
    await pending(repository)
    past = await repository.results.history("t", project=None, limit=10)
    assert [(each.job_id, each.outcome) for each in past] == [(second.id, P), (first.id, F)]
    assert (past[1].duration, past[1].message, past[1].ended_at) == (1.5, "why", NOW.wall)
    older = await repository.results.history("t", project=None, limit=10, before=past[0].seq)
    assert [each.job_id for each in older] == [first.id]
    of_a = await repository.results.history("t", project="a", limit=10)
    assert [each.job_id for each in of_a] == [first.id]


async def flaky(repository, project=None, limit=10):
    found = await repository.results.flaky(project=project, limit=limit)
    return [(each.node_id, each.passed, each.failed, each.trees) for each in found]


SAME = {"tree_sha256": "1" * 64, "image_id": "sha256:1", "project": "p"}


async def test_the_same_files_in_the_same_image_with_different_outcomes_are_flaky(repository):
    await collected(repository, case("t", F), case("u", F), case("v"), **SAME)
    await collected(repository, case("t"), case("u", F), case("v"), **SAME)
    last = await collected(repository, case("t", E), case("u", F), case("v", S), **SAME)
    assert await flaky(repository) == [("t", 1, 2, 1)]
    assert await flaky(repository, project="p") == [("t", 1, 2, 1)]
    assert await flaky(repository, project="q") == []
    (found,) = await repository.results.flaky(project=None, limit=10)
    assert found.last_failed_job == last.id


@pytest.mark.parametrize(
    "other",
    [
        {"tree_sha256": "2" * 64},
        {"image_id": "sha256:2"},
        {"project": "q"},
        {"organisation": "theirs"},
        {"tree_sha256": None},
    ],
)
async def test_other_files_or_another_image_are_a_reason(repository, other):
    await collected(repository, case("t", F), **SAME)
    await collected(repository, case("t"), **(SAME | other))
    assert await flaky(repository) == []


@pytest.mark.parametrize("unknown", [{"tree_sha256": None}, {"image_id": None}])
async def test_what_is_not_known_is_not_the_same(repository, unknown):
    for outcome in (P, F):
        await collected(repository, case("t", outcome), **(SAME | unknown))
    assert await flaky(repository) == []


async def test_of_others_nothing_is_told(repository):
    both = {"ours": {}, "theirs": {}}
    for name, jobs in both.items():
        for outcome in (F, P):
            job = await collected(repository, case("t", outcome), organisation=name, **SAME)
            jobs[job.id] = outcome
    results, ours, all_ours = repository.results, frozenset({"ours"}), frozenset(both)
    past = await results.history("t", project=None, limit=9, within=ours)
    assert {each.job_id: each.outcome for each in past} == both["ours"]
    assert len(await results.history("t", project="p", limit=9, within=all_ours)) == 4
    assert await results.history("t", project=None, limit=9, within=frozenset()) == []
    (found,) = await results.flaky(project=None, limit=9, within=ours)
    assert (found.passed, found.failed, both["ours"][found.last_failed_job]) == (1, 1, F)
    assert len(await results.flaky(project=None, limit=9, within=all_ours)) == 2
    assert len(await results.flaky(project=None, limit=9)) == 2
    assert await results.flaky(project=None, limit=9, within=frozenset()) == []


async def test_flaky_tests_of_several_trees_are_added_up_the_last_first(repository):
    for tree in ("1", "2"):
        for outcome in (F, P):
            await collected(repository, case("t", outcome), **(SAME | {"tree_sha256": tree * 64}))
    for outcome in (P, F):
        await collected(repository, case("later", outcome), **SAME)
    assert await flaky(repository) == [("later", 1, 1, 1), ("t", 2, 2, 2)]
    assert await flaky(repository, limit=1) == [("later", 1, 1, 1)]


async def test_a_cancelled_job_can_be_collected_too_if_its_end_says_so(repository):
    job = await running(repository)
    cancelled = Result(reason=EndReason.CANCELLED)
    await repository.finish(job.id, attempt=1, result=cancelled, now=NOW, collect=True)
    assert ids(await repository.uncollected(limit=10)) == [job.id]
