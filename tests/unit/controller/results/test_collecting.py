"""Collecting what a job left, on an engine in memory: limits, faults, and after a crash."""

import json
from dataclasses import replace

import pytest

from ci_common.jobs import EndReason
from ci_common.quotas import Quotas
from ci_common.recipe import Recipe
from ci_common.results import CaseQuery, ResultsState
from ci_controller.settings import ResultLimits
from tests.fakes.executor import print_and_wait

RECIPE = Recipe(command="sh run.sh", artifacts=("out/**", "*.txt"))


def producing(**files: bytes):
    """Be a job that leaves files in its project, and succeeds."""

    def run(container) -> None:
        container.write(b"ok\n")
        container.files |= {f"workspace/{name}": content for name, content in files.items()}
        container.exit(0)

    return run


async def ran(world, recipe=RECIPE, organisation: str = "", **files: bytes):
    world.engine.on_fed = producing(**files)
    job = await world.submit(recipe=recipe, organisation=organisation)
    await world.settle(world.controller())
    return await world.job(job)


async def kept(world, job) -> dict[str, bytes]:
    artifacts = await world.repository.results.artifacts(job.id)
    reader = world.repository.artifacts.open_reader(job.id)
    found = {each.path: reader.read(each.offset, each.size) for each in artifacts}
    if reader is not None:
        reader.close()
    return found


async def left_out(world, job) -> list[tuple[str, str]]:
    named, _ = await world.repository.results.left_out(job.id)
    return [(each.path, each.reason) for each in named]


async def test_files_are_kept_and_the_container_goes(world):
    files = {"out/a": b"1", "out/sub/b": b"", "x.txt": b"x" * 70_000, "other": b"no"}
    job = await ran(world, **files)
    assert job.results is ResultsState.COLLECTED
    assert await kept(world, job) == {k: v for k, v in files.items() if k != "other"}
    assert await left_out(world, job) == []
    assert world.engine.containers == {}


async def test_what_is_over_the_limits_is_left_out_and_said(world):
    world.settings = replace(world.settings, results=ResultLimits(artifact_bytes=10, artifacts=2))
    job = await ran(world, **{"1.txt": b"1", "2.txt": b"x" * 10, "3.txt": b"3", "4.txt": b"4"})
    assert await kept(world, job) == {"1.txt": b"1", "3.txt": b"3"}
    assert await left_out(world, job) == [
        ("2.txt", "a job's artifacts may have 10 bytes together"),
        ("4.txt", "a job may leave 2 files"),
    ]


async def test_what_is_over_the_organisations_quota_is_left_out_and_said(world):
    world.repository.quotas.most["o1"] = Quotas(artifact_bytes=10)
    first = await ran(world, organisation="o1", **{"1.txt": b"x" * 6})
    second = await ran(world, organisation="o1", **{"1.txt": b"x" * 5, "2.txt": b"x" * 4})
    assert await left_out(world, first) == []
    assert await kept(world, second) == {"2.txt": b"x" * 4}
    ((path, why),) = await left_out(world, second)
    assert path == "1.txt"
    assert why == (
        "the organisation's artifacts have as many bytes as they may have: there was room"
        " for 4 more"
    )
    assert await left_out(world, await ran(world, **{"1.txt": b"x" * 11})) == []


async def test_a_server_that_keeps_none_keeps_none(world):
    world.settings = replace(world.settings, results=ResultLimits(artifact_bytes=0))
    job = await ran(world, **{"1.txt": b"1"})
    assert await kept(world, job) == {}
    assert world.repository.artifacts.usage() == 0


async def test_the_project_is_the_folder_that_the_recipe_says(world):
    recipe = replace(RECIPE, root="sub")
    job = await ran(world, recipe, **{"a.txt": b"outside", "sub/a.txt": b"inside"})
    assert await kept(world, job) == {"a.txt": b"inside"}


async def test_reports_become_tests_and_coverage(world):
    report = b'<testsuite><testcase name="t" time="1"/></testsuite>'
    recipe = Recipe(command="make", reports=("r/*.xml",), coverage=("c.xml",), artifacts=("r",))
    files = {"r/1.xml": report, "r/2.xml": b"<no", "c.xml": b'<coverage line-rate="0.5"/>'}
    job = await ran(world, recipe, **files)
    assert (job.tests.passed, job.tests.duration, job.coverage.line_rate) == (1, 1.0, 0.5)
    assert [path for path, _ in await left_out(world, job)] == ["r/2.xml"]
    assert set(await kept(world, job)) == {"r/1.xml", "r/2.xml"}


async def test_a_report_that_is_too_large_is_not_read(world):
    world.settings = replace(world.settings, results=ResultLimits(report_bytes=10))
    recipe = Recipe(command="make", reports=("*.xml",))
    job = await ran(world, recipe, **{"a.xml": b"x" * 11})
    ((path, reason),) = await left_out(world, job)
    assert (path, "10 bytes" in reason, job.tests) == ("a.xml", True, None)


async def test_a_journal_becomes_tests(world):
    def run(container) -> None:
        container.write(b"ok\n")
        lines = [{"test": f"t.py::t{n}", "outcome": "failed"} for n in range(30)]
        journal = "\n".join(map(json.dumps, lines)).encode()
        container.files[".journal/1.jsonl"] = journal
        container.exit(1)

    world.settings = replace(world.settings, results=ResultLimits(tests=20))
    world.engine.on_fed = run
    job = await world.submit(recipe=Recipe())
    await world.settle(world.controller())
    ended = await world.job(job)
    assert (ended.reason, ended.tests.failed) == (EndReason.FAILED, 20)
    cases = await world.repository.results.cases(job.id, CaseQuery())
    assert [case.name for case in cases][:2] == ["t0", "t1"]
    assert await left_out(world, ended) == [("", "10 tests: too many")]


async def test_the_verdict_does_not_wait_for_the_files(world):
    visiting = world.engine.hold("visit_files")
    world.engine.on_fed = producing(**{"x.txt": b"x"})
    job = await world.submit(recipe=RECIPE)
    controller = world.controller()
    await controller.reconcile()
    await world.engine.called("visit_files")
    ended = await world.job(job)
    assert (ended.reason, ended.results) == (EndReason.PASSED, ResultsState.PENDING)
    assert len(world.engine.containers) == 1
    visiting.set()
    await controller.idle()
    assert (await world.job(job)).results is ResultsState.COLLECTED


async def test_who_comes_after_a_crash_collects(world):
    world.engine.hold("visit_files")
    world.engine.on_fed = producing(**{"x.txt": b"x"})
    job = await world.submit(recipe=RECIPE)
    dead = world.controller()
    await dead.reconcile()
    await world.engine.called("visit_files")
    await dead.stop()
    world.engine._holds.clear()
    await world.settle(world.controller())
    assert await kept(world, job) == {"x.txt": b"x"}
    assert world.engine.containers == {}


async def test_who_comes_after_a_crash_and_finds_nothing_says_so(world):
    world.engine.hold("visit_files")
    world.engine.on_fed = producing(**{"x.txt": b"x"})
    job = await world.submit(recipe=RECIPE)
    dead = world.controller()
    await dead.reconcile()
    await world.engine.called("visit_files")
    await dead.stop()
    world.engine._holds.clear()
    world.engine.vanish(next(iter(world.engine.containers)))
    await world.settle(world.controller())
    assert (await world.job(job)).results is ResultsState.LOST
    ((_, reason),) = await left_out(world, job)
    assert "container was gone" in reason


async def test_an_engine_that_goes_away_meanwhile_is_waited_for(world):
    visiting = world.engine.hold("visit_files")
    world.engine.on_fed = producing(**{"x.txt": b"x"})
    job = await world.submit(recipe=RECIPE)
    controller = world.controller()
    await controller.reconcile()
    await world.engine.called("visit_files")
    world.engine.available = False
    visiting.set()
    await controller.idle()
    assert (await world.job(job)).results is ResultsState.PENDING
    world.engine.available = True
    await world.settle(controller)
    assert await kept(world, job) == {"x.txt": b"x"}


@pytest.mark.parametrize("recipe", [RECIPE, Recipe()])
async def test_a_cancelled_job_is_not_collected(world, recipe):
    world.engine.on_fed = print_and_wait
    job = await world.submit(recipe=recipe)
    controller = world.controller()
    await controller.reconcile()
    await world.engine.called("feed")
    await world.repository.cancel(job.id, now=world.clock.now())
    await world.settle(controller)
    assert (await world.job(job)).results is ResultsState.NONE
    assert "visit_files" not in {call for call, _ in world.engine.calls}


async def test_a_job_that_can_leave_nothing_costs_no_call(world):
    job = await ran(world, Recipe(command="sh run.sh"), **{"x.txt": b"x"})
    assert job.results is ResultsState.NONE
    assert "visit_files" not in {call for call, _ in world.engine.calls}


async def test_the_image_is_noted(world):
    world.engine.images.ids["python:3.12-slim"] = "sha256:1"
    assert (await ran(world)).image_id == "sha256:1"
