"""Every damage that can be seen on disk is planted, found and mended; what only moves is not."""

import os
import re
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci_common.accounts import ApiKey, User
from ci_common.errors import DatabaseUnusable
from ci_common.job_secrets import SecretPlace
from ci_common.jobs import EndReason
from ci_persistence.check import SECOND_LOOK, check
from ci_persistence.findings import REPAIRS, Kind
from ci_persistence.repair import repair
from ci_persistence.schema import load_migrations, upgrade
from ci_persistence.space import DiskSpace
from tests.unit.persistence.checking import GRACE, age, change, looked, placed, premises_of
from tests.unit.persistence.data import Data
from tests.unit.persistence.filling import fill_with_ended_jobs
from tests.unit.persistence.plants import MENDABLE, Plant, audit_entry_changed

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


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


async def no_admin(data):
    await data.repository.accounts.add_user(user())
    return str(data.paths.database)


async def disabled_admin(data):
    await data.repository.accounts.add_user(user(server_admin=True, disabled_at=MOMENT))
    return str(data.paths.database)


async def key_unreadable(data):
    accounts = data.repository.accounts
    await accounts.add_user(user(server_admin=True))
    key = ApiKey(id="key_1", user_id="usr_ada", name="k", hint="sci_1", created_at=MOMENT)
    await accounts.add_key(key, b"digest")
    change(data, "UPDATE api_keys SET scopes = 'everything'")
    return "key_1"


async def secret_moved(data):
    place = SecretPlace(organisation="", project="shop", name="TOKEN")
    await data.repository.secrets.set(place, "a value of some length", now=MOMENT)
    change(data, "UPDATE secrets SET project = 'other'")
    return "other/TOKEN"


def user(**fields) -> User:
    return User(id="usr_ada", name="ada", created_at=MOMENT, **fields)


FOR_PEOPLE: list[tuple[Plant, Kind]] = [
    (impossible, Kind.ROW_IMPOSSIBLE),
    (fed_to_nothing, Kind.ROW_IMPOSSIBLE),
    (used_up, Kind.ROW_IMPOSSIBLE),
    (running_without_its_zip, Kind.STASH_MISSING),
    (running_with_another_zip, Kind.STASH_DAMAGED),
    (zip_only_in_the_former_stash, Kind.STASH_ELSEWHERE),
    (audit_entry_changed, Kind.AUDIT_CHANGED),
    (no_admin, Kind.ADMIN_MISSING),
    (disabled_admin, Kind.ADMIN_MISSING),
    (key_unreadable, Kind.ROW_UNREADABLE),
    (secret_moved, Kind.SECRET_UNREADABLE),
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
