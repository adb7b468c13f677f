"""Crashes while dependencies are installed and kept: nothing lost, nothing doubled."""

import asyncio

import pytest

from ci_common.errors import EngineUnavailable
from tests.fakes.executor import FakeExecutor
from tests.unit.controller.installations import (
    INSTALLED,
    count,
    finish,
    in_mid_installation,
    is_called,
    is_waiting,
    submitted,
    work,
)


async def test_a_crash_during_the_installation_loses_and_doubles_nothing(kept):
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    await kept.crash(controller)
    kept.container(job).write(b"meanwhile\n")
    kept.engine.on_fed = work
    second = kept.controller()
    await second.reconcile()
    finish(kept.container(job))
    await kept.settle(second)
    ended = await kept.job(job)
    assert (ended.success, ended.attempt, ended.faults) == (True, 1, 0)
    assert kept.log(job) == b"installing\nmeanwhile\ninstalled\nrunning\n"
    assert count(kept, "feed", job) == 2


@pytest.mark.parametrize("call", ["has_file", "keep"])
async def test_a_crash_after_the_installation_makes_up_for_the_keeping(kept, call):
    held = kept.engine.hold(call)
    controller = kept.controller()
    job = await submitted(kept)
    await controller.reconcile()
    await kept.engine.called(call)
    await kept.crash(controller)
    held.set()
    await kept.settle(kept.controller())
    assert (await kept.job(job)).success is True
    assert kept.log(job) == INSTALLED + b"running\n"
    assert count(kept, "feed", job) == 2


async def test_a_crash_between_the_keeping_and_the_job_installs_nothing_again(kept):
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    held = kept.engine.hold("launch")
    scripts = []
    kept.engine.on_fed = lambda c: (scripts.append(c.files["job.sh"].decode()), work(c))
    finish(kept.container(job))
    await is_called(kept, "launch", job, times=2)
    await kept.crash(controller)
    held.set()
    await kept.settle(kept.controller())
    assert (await kept.job(job)).success is True
    assert kept.log(job) == INSTALLED + b"running\n"
    assert count(kept, "keep") == 1
    # The log has the notes already.
    assert ["Found requirements.txt." in script for script in scripts] == [False]


async def test_a_crash_before_anything_was_fed_begins_anew(kept):
    held = kept.engine.hold("feed")
    controller = kept.controller()
    job = await submitted(kept)
    await controller.reconcile()
    await kept.engine.called("feed")
    await kept.crash(controller)
    held.set()
    await kept.settle(kept.controller())
    ended = await kept.job(job)
    assert (ended.success, ended.faults) == (True, 0)
    assert kept.log(job) == INSTALLED + b"running\n"


async def test_an_installation_whose_container_is_gone_after_a_crash_begins_again(kept):
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    await kept.crash(controller)
    kept.engine.vanish(f"ci-{job.id}-1")
    kept.engine.on_fed = work
    await kept.settle(kept.controller())
    interrupted = b"[ci] The installation was interrupted; it begins again.\n"
    assert kept.log(job) == b"installing\n" + interrupted + INSTALLED + b"running\n"


async def test_after_a_crash_who_waited_waits_again(kept):
    controller = kept.controller()
    first = await in_mid_installation(kept, controller)
    second = await submitted(kept)
    await controller.reconcile()
    await is_waiting(kept, second)
    await kept.crash(controller)
    kept.engine.on_fed = work
    again = kept.controller()
    await again.reconcile()
    finish(kept.container(first))
    await kept.settle(again)
    assert (await kept.job(second)).success is True
    assert count(kept, "keep") == 1
    assert kept.log(second).count(b"Waiting for job") == 1


async def test_who_waits_in_the_middle_of_its_installation_notes_nothing_there(kept, monkeypatch):
    """The engine's bytes go on behind what is in the log, and are counted from where they began."""
    controller = kept.controller()
    job = await in_mid_installation(kept, controller)
    await kept.crash(controller)
    again = kept.controller()
    other = await submitted(kept)
    with monkeypatch.context() as patched:

        async def has_output(self, name):
            raise EngineUnavailable

        patched.setattr(FakeExecutor, "has_output", has_output)
        await again.reconcile()
        await is_called(kept, "feed", other)
    kept.container(job).write(b"meanwhile\n")
    await again.reconcile()
    await asyncio.sleep(0)
    kept.engine.on_fed = work
    finish(kept.container(other))
    finish(kept.container(job))
    await kept.settle(again)
    assert (await kept.job(job)).success is True
    assert kept.log(job) == b"installing\nmeanwhile\ninstalled\nrunning\n"


async def test_an_attempt_decided_elsewhere_before_the_installation_is_left_alone(kept):
    controller = kept.controller()
    held = kept.engine.hold("launch")
    job = await submitted(kept)
    await controller.reconcile()
    await kept.engine.called("launch")
    await kept.repository.requeue(job.id, attempt=1, charged=False, detail="elsewhere")
    await kept.repository.claim(job.id, attempt=1, now=kept.clock.now())
    held.set()
    await controller.idle()
    assert not kept.container(job).fed
    assert (await kept.job(job)).attempt == 2
