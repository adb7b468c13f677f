"""Mending what is wrong in a data directory, while its server runs or not."""

from pathlib import Path

import pytest

from ci_common.errors import StorageFull
from ci_common.jobs import EndReason, JobStatus
from ci_persistence import repair as repairs
from ci_persistence.findings import Kind
from ci_persistence.repair import repair
from tests.unit.persistence.checking import change, looked
from tests.unit.persistence.plants import (
    ended_recipe_unreadable,
    log_cut,
    log_of_a_job_that_never_began,
    log_without_a_row,
    recipe_unreadable,
    reserve_gone,
    upload_left_over,
    zip_changed,
    zip_gone,
    zip_without_a_row,
)


class TestRepairing:
    @pytest.mark.parametrize("plant", [zip_gone, zip_changed, recipe_unreadable])
    async def test_a_job_that_cannot_run_ends_and_its_log_says_why(self, data, premises, plant):
        job_id = await plant(data)
        (finding,) = looked(premises)
        assert repair(premises, finding, alone=False) is None
        job = await data.repository.get(job_id)
        assert (job.status, job.reason) == (JobStatus.COMPLETED, EndReason.INFRA_ERROR)
        assert (job.attempt, job.end_time) == (1, data.clock.now().wall)
        assert data.log(job).decode() == f"[ci] Infrastructure error: {job.detail}\n"

    async def test_an_ended_job_keeps_its_verdict(self, data, premises):
        job_id = await ended_recipe_unreadable(data)
        (finding,) = looked(premises)
        repair(premises, finding, alone=False)
        assert (await data.repository.get(job_id)).reason is EndReason.PASSED

    @pytest.mark.parametrize("plant", [zip_gone, zip_changed])
    async def test_a_job_that_has_begun_since_is_left_alone(self, data, premises, plant):
        job_id = await plant(data)
        (finding,) = looked(premises)
        await data.repository.claim(job_id, attempt=0, now=data.clock.now())
        assert repair(premises, finding, alone=False) == f"job {job_id} does not wait any more"
        assert (await data.repository.get(job_id)).status is JobStatus.RUNNING

    async def test_files_that_have_got_a_row_since_stay(self, data, premises):
        zip_subject, log_subject = await zip_without_a_row(data), await log_without_a_row(data)
        findings = looked(premises)
        for subject in (zip_subject, log_subject):
            job = await data.queued()
            change(data, "UPDATE jobs SET id = ? WHERE id = ?", Path(subject).stem, job.id)
        for finding in findings:
            repair(premises, finding, alone=True)
        assert {zip_subject, log_subject} <= {str(data.folder / name) for name in data.files()}

    async def test_a_log_that_a_server_may_be_writing_is_not_touched(self, data, premises):
        job_id = await log_cut(data)
        before = (await data.repository.get(job_id)).log_base
        (finding,) = looked(premises)
        assert "a server runs" in repair(premises, finding, alone=False)
        assert (await data.repository.get(job_id)).log_base == before
        assert repair(premises, finding, alone=True) is None
        assert (await data.repository.get(job_id)).log_base == 5

    async def test_a_log_that_has_begun_since_is_not_deleted(self, data, premises):
        job_id = await log_of_a_job_that_never_began(data)
        (finding,) = looked(premises)
        await data.repository.claim(job_id, attempt=0, now=data.clock.now())
        repair(premises, finding, alone=True)
        assert data.paths.log_of(job_id).exists()

    async def test_a_sealed_log_is_closed_to_others_and_stays_sealed(self, data, premises):
        path = data.paths.log_of((await data.ended()).id)
        path.chmod(0o444)
        (finding,) = looked(premises)
        repair(premises, finding, alone=False)
        assert path.stat().st_mode & 0o777 == 0o400

    async def test_on_a_full_disk_the_reserve_is_given_up(self, data, premises, monkeypatch):
        job_id = await zip_gone(data)
        (finding,) = looked(premises)
        writing = repairs.writing

        def full_until_released(path):
            if premises.reserve.missing == 0:
                raise StorageFull
            return writing(path)

        monkeypatch.setattr(repairs, "writing", full_until_released)
        assert repair(premises, finding, alone=False) is None
        assert (await data.repository.get(job_id)).status.ended

    async def test_what_fails_says_why_and_the_rest_goes_on(self, data, premises, monkeypatch):
        await reserve_gone(data)
        await upload_left_over(data)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ci_persistence.space.os.posix_fallocate", full)
        fates = {f.kind: repair(premises, f, alone=False) for f in looked(premises)}
        assert fates == {
            Kind.RESERVE_MISSING: "No space left on device",
            Kind.UPLOAD_ORPHAN: None,
        }
