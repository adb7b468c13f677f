"""Every damage that can be seen on disk is planted, found and mended; what only moves is not."""

import os
import re
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ci_common.errors import DatabaseUnusable, StorageFull
from ci_common.jobs import EndReason, JobStatus
from ci_persistence import repair as repairs
from ci_persistence.check import SECOND_LOOK, Premises, check
from ci_persistence.findings import REPAIRS, Finding, Kind
from ci_persistence.repair import repair
from ci_persistence.schema import load_migrations, upgrade
from ci_persistence.space import DiskSpace, Reserve
from tests.unit.persistence.data import Data
from tests.unit.persistence.filling import fill_with_ended_jobs

GRACE = 60.0
RESERVE = 4096


def premises_of(data: Data) -> Premises:
    reserve = Reserve(data.paths.reserve, RESERVE)
    space = DiskSpace((data.folder,), min_free=1, reserve=reserve)
    return Premises(data=data.paths, clock=data.clock, grace=GRACE, space=space, reserve=reserve)


@pytest.fixture
async def premises(data):
    """A data directory as a server has it: jobs in every state, and nothing wrong."""
    await data.ended()
    await data.running()
    await data.queued()
    made = premises_of(data)
    made.reserve.fill()
    return made


def looked(premises, meanwhile=lambda: None) -> list[Finding]:
    return check(premises, lambda _: meanwhile())


def change(data, statement, *values):
    with closing(sqlite3.connect(data.paths.database)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def age(data, path, seconds=2 * GRACE):
    when = data.clock.now().wall.timestamp() - seconds
    os.utime(path, (when, when))
    return path


def placed(data, name, content=b"x"):
    path = data.folder / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return age(data, path)


def test_a_sound_directory_has_nothing_wrong_and_is_looked_at_once(premises):
    pauses = []
    assert check(premises, pauses.append) == []
    assert pauses == []


async def test_looking_changes_nothing(data, premises):
    before = {path: (data.folder / path).stat().st_mtime_ns for path in data.files()}
    placed(data, "tmp/upload-1.zip")
    looked(premises)
    (data.folder / "tmp/upload-1.zip").unlink()
    after = {path: (data.folder / path).stat().st_mtime_ns for path in data.files()}
    del before["tmp"], after["tmp"]
    # SQLite notes in a file beside the database who reads it.
    assert {k: v for k, v in after.items() if "-shm" not in k} == {
        k: v for k, v in before.items() if "-shm" not in k
    }


# Each plants one fault and returns its subject.


async def zip_gone(data):
    job = await data.queued()
    data.paths.zip_at(job.zip_path).unlink()
    return job.id


async def zip_changed(data):
    job = await data.queued(b"a zip")
    data.paths.zip_at(job.zip_path).write_bytes(b"a zap")
    return job.id


async def directory_was_moved(data):
    job = await data.queued()
    former = f"/former/stash/{job.id}.zip"
    change(data, "UPDATE jobs SET zip_path = ? WHERE id = ?", former, job.id)
    return job.id


async def zip_without_a_row(data):
    return str(placed(data, f"stash/{uuid.uuid4()}.zip"))


async def zip_of_an_ended_job(data):
    job = await data.ended()
    await data.repository.release([job.id])
    return str(placed(data, f"stash/{job.id}.zip"))


async def upload_left_over(data):
    return str(placed(data, "tmp/upload-abc.zip"))


async def log_gone(data):
    job = await data.ended()
    data.paths.log_of(job.id).unlink()
    return job.id


async def log_cut(data):
    job = await data.running(b"first attempt\n")
    await data.repository.requeue(job.id, attempt=1, charged=True, detail="lost")
    await data.start(await data.job(job))
    os.truncate(data.paths.log_of(job.id), 5)
    return job.id


async def log_of_a_job_that_never_began(data):
    job = await data.queued()
    data.write(job, b"whose?\n")
    return job.id


async def log_without_a_row(data):
    return str(placed(data, f"logs/{uuid.uuid4()}.log"))


async def artifacts_gone(data):
    job = await data.ended()
    statement = (
        'INSERT INTO artifacts (job, path, size, sha256, modified, executable, "offset")'
        " VALUES (?, 'out.txt', 1, '', 0, 0, 512)"
    )
    change(data, statement, job.seq)
    return job.id


async def artifacts_without_a_row(data):
    return str(placed(data, f"artifacts/{uuid.uuid4()}.tar"))


async def recipe_unreadable(data):
    job = await data.queued()
    change(data, "UPDATE jobs SET recipe = '{' WHERE id = ?", job.id)
    return job.id


async def running_recipe_unreadable(data):
    job = await data.running()
    change(data, "UPDATE jobs SET recipe = '[]' WHERE id = ?", job.id)
    return job.id


async def ended_recipe_unreadable(data):
    job = await data.ended()
    change(data, "UPDATE jobs SET recipe = 'null' WHERE id = ?", job.id)
    return job.id


async def log_open_to_others(data):
    path = data.paths.log_of((await data.ended()).id)
    path.chmod(0o644)
    return str(path)


async def database_open_to_others(data):
    data.paths.database.chmod(0o640)
    return str(data.paths.database)


async def folder_open_to_others(data):
    data.paths.stash.chmod(0o755)
    return str(data.paths.stash)


async def reserve_gone(data):
    data.paths.reserve.unlink()
    return str(data.paths.reserve)


Plant = Callable[[Data], Awaitable[str]]

MENDABLE: list[tuple[Plant, Kind]] = [
    (zip_gone, Kind.STASH_MISSING),
    (zip_changed, Kind.STASH_DAMAGED),
    (directory_was_moved, Kind.STASH_ELSEWHERE),
    (zip_without_a_row, Kind.STASH_ORPHAN),
    (zip_of_an_ended_job, Kind.STASH_ORPHAN),
    (upload_left_over, Kind.UPLOAD_ORPHAN),
    (log_gone, Kind.LOG_MISSING),
    (log_cut, Kind.LOG_SHORT),
    (log_of_a_job_that_never_began, Kind.LOG_UNEXPECTED),
    (log_without_a_row, Kind.LOG_ORPHAN),
    (artifacts_gone, Kind.ARTIFACTS_MISSING),
    (artifacts_without_a_row, Kind.ARTIFACTS_ORPHAN),
    (recipe_unreadable, Kind.ROW_UNREADABLE),
    (running_recipe_unreadable, Kind.ROW_UNREADABLE),
    (ended_recipe_unreadable, Kind.ROW_UNREADABLE),
    (log_open_to_others, Kind.PERMISSIONS),
    (database_open_to_others, Kind.PERMISSIONS),
    (folder_open_to_others, Kind.PERMISSIONS),
    (reserve_gone, Kind.RESERVE_MISSING),
]


@pytest.mark.parametrize(("plant", "kind"), MENDABLE, ids=[each[0].__name__ for each in MENDABLE])
async def test_a_planted_fault_is_found_alone_and_mended(data, premises, plant, kind):
    subject = await plant(data)
    (finding,) = looked(premises)
    assert (finding.kind, finding.subject) == (kind, subject)
    assert finding.what
    assert finding.repair == REPAIRS[kind]
    assert repair(premises, finding, alone=True) is None
    assert looked(premises) == []


async def impossible(data):
    job = await data.running()
    change(data, "UPDATE jobs SET faults = 5 WHERE id = ?", job.id)
    return job.id


async def fed_to_nothing(data):
    job = await data.running()
    change(data, "UPDATE jobs SET container = NULL WHERE id = ?", job.id)
    return job.id


async def used_up(data):
    job = await data.running(max_attempts=1)
    await data.repository.requeue(job.id, attempt=1, charged=True, detail="")
    return job.id


async def running_without_its_zip(data):
    job = await data.running()
    data.paths.zip_at(job.zip_path).unlink()
    return job.id


async def running_with_another_zip(data):
    job = await data.running()
    data.paths.zip_at(job.zip_path).write_bytes(b"other")
    return job.id


async def zip_only_in_the_former_stash(data):
    job = await data.queued()
    former = data.folder.parent / f"{job.id}.zip"
    data.paths.zip_at(job.zip_path).rename(former)
    change(data, "UPDATE jobs SET zip_path = ? WHERE id = ?", str(former), job.id)
    return job.id


async def a_note_in_the_logs(data):
    return str(placed(data, "logs/NOTES"))


async def a_name_that_is_no_text(data):
    path = data.paths.stash / os.fsdecode(b"\xff.zip")
    path.touch(mode=0o600)
    return str(age(data, path))


FOR_PEOPLE: list[tuple[Plant, Kind]] = [
    (impossible, Kind.ROW_IMPOSSIBLE),
    (fed_to_nothing, Kind.ROW_IMPOSSIBLE),
    (used_up, Kind.ROW_IMPOSSIBLE),
    (running_without_its_zip, Kind.STASH_MISSING),
    (running_with_another_zip, Kind.STASH_DAMAGED),
    (zip_only_in_the_former_stash, Kind.STASH_ELSEWHERE),
    (a_note_in_the_logs, Kind.UNKNOWN_FILE),
    (a_name_that_is_no_text, Kind.UNKNOWN_FILE),
]


@pytest.mark.parametrize(
    ("plant", "kind"), FOR_PEOPLE, ids=[each[0].__name__ for each in FOR_PEOPLE]
)
async def test_what_only_a_person_can_decide_is_found_and_left_alone(data, premises, plant, kind):
    subject = await plant(data)
    (finding,) = looked(premises)
    assert (finding.kind, finding.subject, finding.repair) == (kind, subject, None)
    assert repair(premises, finding, alone=True) == "only a person can decide what to do"
    assert looked(premises) == [finding]


def test_every_kind_of_fault_is_planted():
    planted = {kind for _, kind in (*MENDABLE, *FOR_PEOPLE)}
    # The others have tests of their own below.
    others = {Kind.DATABASE_DAMAGED, Kind.SCHEMA_OLD, Kind.DISK_LOW, Kind.PACK_ORPHAN}
    assert planted | others == set(Kind) == set(REPAIRS)


def test_every_kind_of_fault_is_documented():
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", text, re.MULTILINE))
    assert rows.keys() == {kind.value for kind in Kind}
    for kind, repair_text in REPAIRS.items():
        assert (rows[kind.value] == "—") == (repair_text is None)


class TestTheDatabase:
    async def test_damage_is_found_and_is_for_people(self, data, premises):
        for _ in range(100):
            await data.queued()
        await data.repository.close()
        with data.paths.database.open("r+b") as file:
            file.seek(4096 * 4)
            file.write(b"\xff" * 4096 * 3)
        found = looked(premises)
        assert {finding.kind for finding in found} == {Kind.DATABASE_DAMAGED}
        assert found[0].repair is None

    async def test_a_missing_index_entry_is_found(self, data, premises):
        with closing(sqlite3.connect(data.paths.database, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_master SET sql = replace(sql, 'status = ''queued''',"
                " 'status = ''running''') WHERE name = 'jobs_queued'"
            )
        kinds = {finding.kind for finding in looked(premises)}
        assert kinds == {Kind.DATABASE_DAMAGED}

    async def test_an_older_schema_is_left_to_the_server(self, tmp_path):
        old = Data(tmp_path / "old")
        upgrade(old.paths.database, load_migrations()[:1], busy_timeout=1)
        premises = premises_of(old)
        premises.reserve.fill()
        (finding,) = looked(premises)
        assert (finding.kind, finding.repair) == (Kind.SCHEMA_OLD, None)

    def test_none_is_made_where_there_is_none(self, tmp_path):
        missing = Data(tmp_path)
        with pytest.raises(DatabaseUnusable, match="there is no database"):
            looked(premises_of(missing))
        assert not missing.paths.database.exists()

    def test_that_of_another_application_is_refused(self, tmp_path):
        other = Data(tmp_path)
        with closing(sqlite3.connect(other.paths.database)) as connection, connection:
            connection.execute("CREATE TABLE theirs (x)")
        with pytest.raises(DatabaseUnusable, match="another application"):
            looked(premises_of(other))


def test_a_disk_that_is_nearly_full_is_said(data, premises):
    short = replace(premises, space=DiskSpace((data.folder,), min_free=2**60))
    (finding,) = looked(short)
    assert (finding.kind, finding.repair) == (Kind.DISK_LOW, None)


class TestMovingData:
    async def test_what_is_gone_at_the_second_look_was_only_moving(self, data, premises):
        job = await data.queued()
        path = data.paths.zip_at(job.zip_path)
        aside = path.rename(data.folder / "aside")
        orphan = placed(data, f"stash/{uuid.uuid4()}.zip")

        def settle():
            aside.rename(path)
            orphan.unlink()

        assert looked(premises, meanwhile=settle) == []

    async def test_what_only_the_second_look_sees_is_none_either(self, data, premises):
        lasting = placed(data, "tmp/upload-1.zip")
        found = looked(premises, meanwhile=lambda: placed(data, "tmp/upload-2.zip"))
        assert [finding.subject for finding in found] == [str(lasting)]

    async def test_the_looks_are_apart(self, data, premises):
        placed(data, "tmp/upload-1.zip")
        pauses = []
        check(premises, pauses.append)
        assert pauses == [SECOND_LOOK]

    @pytest.mark.parametrize(
        "name", ["tmp/upload-1.zip", "stash/0b1c2d3e-0000-4000-8000-000000000001.zip"]
    )
    async def test_what_is_young_may_be_on_its_way(self, data, premises, name):
        age(data, placed(data, name), seconds=GRACE / 2)
        assert looked(premises) == []

    async def test_a_job_without_output_and_one_queued_again_are_sound(self, data, premises):
        await data.ended(b"")
        job = await data.running(b"half\n")
        await data.repository.requeue(job.id, attempt=1, charged=False, detail="")
        assert looked(premises) == []

    async def test_any_number_of_files(self, data, premises, monkeypatch):
        monkeypatch.setattr("ci_persistence.check_files._BATCH", 2)
        jobs = [await data.ended() for _ in range(5)]
        for job in jobs:
            age(data, data.paths.log_of(job.id))
        orphan = placed(data, f"logs/{uuid.uuid4()}.log")
        assert [finding.subject for finding in looked(premises)] == [str(orphan)]


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


async def test_many_ended_jobs_are_no_trouble(data, premises):
    fill_with_ended_jobs(data.paths.database, 2_000)
    found = looked(premises)
    assert {finding.kind for finding in found} == {Kind.LOG_MISSING}
    assert len(found) == 2_000


async def test_a_manifests_job_is_sound_with_its_pack_and_damaged_without(data, premises):
    job = await data.queued_tree(7)
    assert looked(premises) == []
    data.paths.pack_file(7).unlink()
    (found,) = looked(premises)
    assert (found.kind, found.subject) == (Kind.STASH_DAMAGED, job.id)
    assert repair(premises, found, alone=False) is None
    assert (await data.job(job)).reason is EndReason.INFRA_ERROR


async def test_a_pack_that_no_row_knows_is_found_and_deleted(data, premises):
    await data.queued_tree(7)
    age(data, data.paths.pack_file(7))
    stray = placed(data, f"packs/{8:016x}.zip")
    (found,) = looked(premises)
    assert (found.kind, found.subject) == (Kind.PACK_ORPHAN, str(stray))
    assert repair(premises, found, alone=False) is None
    assert data.paths.pack_file(7).exists()
    assert not stray.exists()


async def test_what_is_still_coming_in_is_nobodys_fault_however_old_it_seems(data, premises):
    """As an upload that has stood still for long, or one whose clock was set."""
    stash = data.repository.stash
    upload, pack = stash.new_upload(), stash.new_upload()
    pack.commit_pack(9)
    tree = stash.keep_tree(str(uuid.uuid4()), b"a tree")
    for each in (upload, pack, tree):
        os.utime(each.path, (0, 0))
    assert looked(premises) == []
    for each in (upload, pack, tree):
        each.discard()
    assert [finding.kind for finding in looked(premises)] == [Kind.STASH_ORPHAN, Kind.PACK_ORPHAN]
