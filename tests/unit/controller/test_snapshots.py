"""Dependencies that are kept, over a fake engine: who installs them, and who waits."""

from dataclasses import replace

import pytest

from ci_common.jobs import EndReason, JobStatus
from ci_common.recipe import Recipe
from ci_controller.results.reporting import plugin_files
from ci_controller.snapshots import SnapshotSettings
from ci_controller.standby import StandbySettings
from tests.unit.controller.installations import (
    HELLO,
    INSTALLED,
    RECIPE,
    begin,
    count,
    finish,
    in_mid_installation,
    is_called,
    is_waiting,
    run,
    snapshots,
    submitted,
    work,
)


async def test_the_first_job_installs_and_the_second_starts_from_that(kept):
    controller = kept.controller()
    first = await run(kept, controller)
    assert (first.success, kept.log(first)) == (True, INSTALLED + b"running\n")
    assert count(kept, "feed", first) == 2
    second = await run(kept, controller, app=b"changed")
    assert (second.success, kept.log(second)) == (True, b"running\n")
    assert count(kept, "feed", second) == 1
    assert len(snapshots(kept)) == 1


async def test_the_installation_gets_its_files_and_no_others(kept):
    fed = []
    kept.engine.on_fed = lambda container: (fed.append(dict(container.files)), work(container))
    await run(kept, kept.controller(), secret=b"the project's own")
    names = {"job.sh", "env", "workspace/requirements.txt", ".fed"}
    assert set(fed[0]) == names
    beside = set(plugin_files())
    assert set(fed[1]) == names | {"workspace/test_it.py", "workspace/secret"} | beside


async def test_a_hit_says_so_and_how_long_ago(kept):
    controller = kept.controller()
    await run(kept, controller)
    kept.clock.advance(3 * 3600)
    scripts = []
    kept.engine.on_fed = lambda c: (scripts.append(c.files["job.sh"].decode()), work(c))
    await run(kept, controller)
    assert "Found requirements.txt." in scripts[0]
    assert "they were installed 3 hours ago. (`ci cache prune`" in scripts[0]


async def test_after_its_own_installation_a_job_does_not_repeat_the_notes(kept):
    scripts = []
    kept.engine.on_fed = lambda c: (scripts.append(c.files["job.sh"].decode()), work(c))
    await run(kept, kept.controller())
    assert ["Found requirements.txt." in script for script in scripts] == [True, False]


@pytest.mark.parametrize("change", ["requirements", "command", "environment", "image", "anew"])
async def test_what_counts_for_an_installation_makes_another_one(kept, change):
    controller = kept.controller()
    await run(kept, controller)
    options = {}
    match change:
        case "requirements":
            options["requirements"] = b"one==2\n"
        case "command":
            options["recipe"] = replace(RECIPE, dependencies=("ci_pip install one",))
        case "environment":
            options["recipe"] = replace(RECIPE, env={"PIP_INDEX_URL": "https://other/"})
        case "image":
            kept.engine.images.ids[kept.settings.defaults.image] = "built anew"
        case "anew":
            kept.clock.advance(kept.settings.snapshots.max_age + 1)
    job = await run(kept, controller, **options)
    assert kept.log(job) == INSTALLED + b"running\n"


@pytest.mark.parametrize("change", ["code", "notes", "tests", "limits"])
async def test_what_does_not_count_makes_none(kept, change):
    controller = kept.controller()
    await run(kept, controller)
    recipe = {
        "code": RECIPE,
        "notes": replace(RECIPE, notes=("Something else.",)),
        "tests": replace(RECIPE, command=("pytest", "-x")),
        "limits": replace(RECIPE, memory=2**29, timeout=60.0),
    }[change]
    job = await run(kept, controller, recipe=recipe, app=b"changed")
    assert kept.log(job) == b"running\n"


async def test_a_failed_installation_is_the_jobs_failure_and_is_not_kept(kept):
    kept.engine.on_fed = lambda container: (begin(container), finish(container, code=5))
    controller = kept.controller()
    failed = await run(kept, controller)
    assert (failed.reason, failed.exit_code) == (EndReason.FAILED, 5)
    assert kept.log(failed) == b"installing\nno such package\n"
    assert snapshots(kept) == []
    assert kept.engine.containers == {}
    kept.engine.on_fed = work
    assert (await run(kept, controller)).success is True


async def test_of_two_at_once_one_installs_and_the_other_says_what_it_waits_for(kept):
    controller = kept.controller()
    first = await in_mid_installation(kept, controller)
    second = await submitted(kept)
    await controller.reconcile()
    waits = f"[ci] Waiting for job {first.id[:8]}, which installs the same.\n".encode()

    async def says_so() -> bool:
        return kept.log(second) == waits

    await kept.until(says_so)
    kept.engine.on_fed = work
    finish(kept.container(first))
    await kept.settle(controller)
    assert kept.log(second) == waits + b"running\n"
    assert (await kept.job(second)).success is True
    assert count(kept, "keep") == 1


async def test_of_two_that_look_at_the_same_time_one_installs(kept):
    held = kept.engine.hold("made_at")
    jobs = [await submitted(kept) for _ in range(2)]
    controller = kept.controller()
    await controller.reconcile()
    await is_called(kept, "made_at", None, times=2)
    first, held = held, kept.engine.hold("made_at")
    first.set()
    await is_called(kept, "made_at", None, times=4)
    held.set()
    await kept.settle(controller)
    for job in jobs:
        ended = await kept.job(job)
        assert (ended.success, ended.faults) == (True, 0)
    assert count(kept, "keep") == 1


async def test_when_the_first_fails_the_next_one_installs_by_itself(kept):
    controller = kept.controller()
    first = await in_mid_installation(kept, controller)
    second = await submitted(kept)
    await controller.reconcile()
    await kept.engine.called("image_id")
    kept.engine.on_fed = work
    finish(kept.container(first), code=1)
    await kept.settle(controller)
    assert (await kept.job(first)).reason is EndReason.FAILED
    assert (await kept.job(second)).success is True
    assert kept.log(second).endswith(INSTALLED + b"running\n")


async def test_one_that_waits_can_be_stopped(kept):
    controller = kept.controller()
    first = await in_mid_installation(kept, controller)
    second = await submitted(kept)
    await controller.reconcile()
    await is_waiting(kept, second)
    await controller._attempts.stop(await kept.job(second), EndReason.CANCELLED)
    await kept.ended(second)
    ended = await kept.job(second)
    assert (ended.reason, ended.exit_code) == (EndReason.CANCELLED, None)
    assert (await kept.job(first)).status is JobStatus.RUNNING


async def test_one_that_waits_too_long_is_timed_out(kept):
    controller = kept.controller()
    await in_mid_installation(kept, controller)
    second = await submitted(kept, recipe=replace(RECIPE, timeout=0.01))
    await controller.reconcile()
    await kept.ended(second)
    assert (await kept.job(second)).reason is EndReason.TIMED_OUT
    assert kept.log(second).endswith(b"longer than its time limit of 0.01 s.\n")


async def test_the_time_limit_holds_for_the_installation(kept):
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    kept.clock.advance(kept.settings.defaults.timeout)
    await kept.settle(controller)
    ended = await kept.job(job)
    assert (ended.reason, ended.exit_code) == (EndReason.TIMED_OUT, 143)
    assert kept.log(job).endswith(b"longer than its time limit of 3600 s.\n")
    assert snapshots(kept) == []


async def test_what_cannot_be_kept_is_installed_with_the_job(kept):
    kept.engine.images.keep_error = "no space left on device"
    scripts = []
    kept.engine.on_fed = lambda c: (scripts.append(c.files["job.sh"].decode()), work(c))
    job = await run(kept, kept.controller())
    assert job.success is True
    assert "could not be kept" in scripts[1]
    assert "ci_run 'Installing dependencies'" in scripts[1]


async def test_an_image_that_has_all_is_asked_once_and_nothing_is_kept(kept):
    kept.engine.images.has = {"pytest"}
    controller = kept.controller()
    for _ in range(2):
        job = await run(kept, controller, recipe=HELLO)
        assert kept.log(job) == b"running\n"
        assert count(kept, "launch", job) == 1
    assert count(kept, "run") == 1
    assert snapshots(kept) == []


async def test_an_image_that_lacks_it_gets_it_installed_and_kept(kept):
    controller = kept.controller()
    first = await run(kept, controller, recipe=HELLO)
    assert kept.log(first) == INSTALLED + b"running\n"
    # The container that was asked is the one that installs.
    assert count(kept, "launch", first) == 2
    assert kept.log(await run(kept, controller, recipe=HELLO)) == b"running\n"


async def test_an_installation_that_installs_nothing_keeps_nothing(kept):
    def install_nothing(container) -> None:
        begin(container)
        container.exit(0)

    kept.engine.on_fed = install_nothing
    controller = kept.controller()
    assert kept.log(await run(kept, controller)) == b"installing\nrunning\n"
    assert kept.log(await run(kept, controller)) == b"running\n"
    assert snapshots(kept) == []


async def test_standbys_are_filled_while_a_job_installs(kept):
    kept.settings = replace(kept.settings, standby=StandbySettings(size=1, refill_after=0.0))
    controller = kept.controller()
    await kept.settle(controller)
    await in_mid_installation(kept, controller)

    async def stands_by() -> bool:
        await controller.reconcile()
        return any("standby" in name for name in kept.engine.containers)

    await kept.until(stands_by)


async def test_other_jobs_start_while_one_installs(kept):
    kept.settings = replace(kept.settings, max_starting=1)
    controller = kept.controller()
    await in_mid_installation(kept, controller)
    kept.engine.on_fed = work
    other = await kept.submit()
    await controller.reconcile()
    await kept.ended(other)
    assert (await kept.job(other)).success is True


async def test_a_snapshot_gets_a_standby(kept):
    kept.settings = replace(kept.settings, standby=StandbySettings(size=1))
    controller = kept.controller()
    await run(kept, controller)
    second = await run(kept, controller)
    assert second.success is True
    assert count(kept, "launch", second) == 0


async def test_a_hit_costs_two_calls_more_than_a_job_without_dependencies(kept):
    kept.settings = replace(kept.settings, standby=StandbySettings(size=1))
    controller = kept.controller()
    await run(kept, controller)

    async def calls_of(recipe: Recipe) -> list[str]:
        await kept.settle(controller)
        kept.engine.calls.clear()
        job = await submitted(kept, recipe=recipe)
        await controller.reconcile()
        await kept.ended(job)
        return [call for call, _ in kept.engine.calls if call not in {"open", "observe", "launch"}]

    without, hit = await calls_of(Recipe()), await calls_of(RECIPE)
    assert len(hit) == len(without) + 2
    assert {"image_id", "made_at"} == set(hit) - set(without)


@pytest.mark.parametrize("why", ["switched off", "a variable names a file", "a file is missing"])
async def test_where_nothing_can_be_kept_all_is_as_before(kept, why):
    options = {}
    match why:
        case "switched off":
            kept.settings = replace(kept.settings, snapshots=SnapshotSettings(budget=0))
        case "a variable names a file":
            options["recipe"] = replace(RECIPE, env={"PIP_CONSTRAINT": "test_it.py"})
        case "a file is missing":
            options["recipe"] = replace(RECIPE, dependency_files=("gone.txt",))
    job = await run(kept, kept.controller(), **options)
    assert (job.success, kept.log(job)) == (True, b"running\n")
    assert snapshots(kept) == []


async def test_a_job_cancelled_in_its_installation_ends_without_a_container(kept):
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    await kept.repository.cancel(job.id, now=kept.clock.now())
    await kept.settle(controller)
    ended = await kept.job(job)
    assert (ended.status, ended.reason) == (JobStatus.CANCELLED, EndReason.CANCELLED)
    assert kept.log(job).endswith(b"Stopped: the job was cancelled.\n")
    assert not [name for name in kept.engine.containers if job.id in name]
    assert snapshots(kept) == []
