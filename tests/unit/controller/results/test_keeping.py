"""Artifacts go with their jobs, count as their logs do, and are swept without a row."""

import uuid

from ci_common.results import ResultsState
from ci_controller.retention import Retention
from ci_controller.settings import RetentionSettings
from ci_controller.sweep import sweep_logs
from tests.unit.controller.results.test_collecting import ran

KIB = 1024


def tar_of(world, job_id: str):
    return world.repository.data_dir / f"artifacts/{job_id}.tar"


async def test_they_count_and_the_oldest_go_with_their_jobs(world):
    jobs = [await ran(world, **{"x.txt": b"x" * 100 * KIB}) for _ in range(3)]
    world.clock.advance(1)
    settings = RetentionSettings(keep_at_least=0.0, keep_log_bytes=220 * KIB)
    await Retention(world.repository, world.clock, settings, ()).apply()
    left = [job.id for job in jobs if await world.repository.get_many([job.id])]
    assert left == [job.id for job in jobs[1:]]
    assert not tar_of(world, jobs[0].id).exists()
    assert await world.repository.results.artifacts(jobs[0].id) == []
    assert tar_of(world, jobs[1].id).exists()


async def test_without_a_row_they_are_swept_when_they_are_old(world):
    job = await ran(world, **{"x.txt": b"x"})
    stray = str(uuid.uuid4())
    writer = world.repository.artifacts.new(stray)
    writer.add("x", 1, [b"x"], modified=0, executable=False)
    writer.commit()
    writer.discard()
    other = tar_of(world, "notes")
    other.write_bytes(b"not ours")
    # The files were made by the machine's clock, the sweep goes by the test's.
    world.clock.advance(100 * 365 * 86400)
    assert await sweep_logs(world.repository, world.clock, grace=60) == 1
    assert not tar_of(world, stray).exists()
    assert tar_of(world, job.id).exists()
    assert other.exists()


async def test_a_disk_that_is_full_leaves_them_out_and_says_so(world, monkeypatch):
    monkeypatch.setattr(world.repository.space, "shortage", lambda _=0: "the disk is full")
    job = await ran(world, **{"x.txt": b"x"})
    assert job.results is ResultsState.COLLECTED
    named, _ = await world.repository.results.left_out(job.id)
    assert [(each.path, each.reason) for each in named] == [("x.txt", "the disk is full")]
    assert not tar_of(world, job.id).exists()
