"""Artifacts on disk: a plain tar, whole or not there; and in backups."""

import errno
import os
import tarfile
import uuid

import pytest

from ci_common.errors import JobNotFound, StorageFull
from ci_common.results import Case, Outcome, Results, ResultsState
from ci_persistence.artifacts import FileArtifactStore
from ci_persistence.backup import back_up
from ci_persistence.restore import restore
from tests.unit.persistence.data import PASSED, Data

JOB = "0123-abcd"


@pytest.fixture
def store(tmp_path):
    return FileArtifactStore(tmp_path / "artifacts", tmp_path / "tmp")


def write(store, job_id=JOB, **files: bytes):
    writer = store.new(job_id)
    kept = [
        writer.add(name, len(content), [content], modified=5, executable=False)
        for name, content in files.items()
    ]
    writer.commit()
    writer.discard()
    return kept


def test_it_is_a_tar_and_each_file_lies_where_it_is_said(store, tmp_path):
    files = {"a": b"1" * 513, "é/" + "x" * 300: b"", "c": b"3" * 512}
    kept = write(store, **files)
    with tarfile.open(tmp_path / f"artifacts/{JOB}.tar") as archive:
        assert {m.name: archive.extractfile(m).read() for m in archive} == files
    reader = store.open_reader(JOB)
    assert [reader.read(each.offset, each.size) for each in kept] == list(files.values())
    assert reader.size == store.size(JOB) == store.usage()
    store.remove(JOB)
    assert reader.read(kept[0].offset, 5) == b"11111"
    reader.close()
    assert store.open_reader(JOB) is None


def test_too_little_is_filled_up_and_too_much_is_cut(store):
    writer = store.new(JOB)
    short = writer.add("short", 5, [b"ab"], modified=0, executable=False)
    long = writer.add("long", 2, [b"a", b"bcd"], modified=0, executable=False)
    writer.commit()
    writer.discard()
    reader = store.open_reader(JOB)
    assert reader.read(short.offset, 5) == b"ab\0\0\0"
    assert reader.read(long.offset, 2) == b"ab"
    reader.close()


def test_nothing_has_its_name_before_it_is_whole(store, tmp_path):
    writer = store.new(JOB)
    writer.add("a", 1, [b"1"], modified=0, executable=False)
    assert store.open_reader(JOB) is None
    writer.discard()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_later_one_replaces_an_earlier_one(store):
    write(store, a=b"old")
    (kept,) = write(store, a=b"new")
    reader = store.open_reader(JOB)
    assert reader.read(kept.offset, 3) == b"new"
    reader.close()


def test_a_full_disk_is_told_and_leaves_nothing(store, tmp_path, monkeypatch):
    writer = store.new(JOB)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull):
        writer.add("a", 1, [b"1"], modified=0, executable=False)
    writer.discard()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("job_id", ["../x", "a/b", "", "x"])
def test_no_other_file_can_be_named(store, job_id):
    for call in (store.new, store.open_reader, store.size, store.remove):
        with pytest.raises(JobNotFound):
            call(job_id)


async def test_a_backup_has_artifacts_and_tests_and_gives_them_back(tmp_path):
    data = await Data(tmp_path / "server").open()
    job = await data.running()
    now = data.clock.now()
    await data.repository.finish(job.id, attempt=1, result=PASSED, now=now, collect=True)
    kept = write(data.repository.artifacts, job.id, a=b"content")
    case = Case(node_id="t", classname="", name="t", file="", outcome=Outcome.FAILED, duration=1.0)
    await data.repository.results.record(job.id, Results(artifacts=kept, cases=[case]))
    pending = await data.running()
    await data.repository.finish(pending.id, attempt=1, result=PASSED, now=now, collect=True)
    write(data.repository.artifacts, str(uuid.uuid4()), stray=b"of no job")
    manifest = back_up(data.paths, tmp_path / "backup", data.clock)
    assert manifest.problems == []
    await data.repository.close()
    other = Data(tmp_path / "other")
    restore(tmp_path / "backup", other.paths, data.clock)
    await other.open()
    assert [path.stem for path in (other.folder / "artifacts").iterdir()] == [job.id]
    reader = other.repository.artifacts.open_reader(job.id)
    (artifact,) = await other.repository.results.artifacts(job.id)
    assert reader.read(artifact.offset, artifact.size) == b"content"
    reader.close()
    assert await other.repository.results.failed_tests(job.id) == ["t"]
    assert (await other.job(pending)).results is ResultsState.PENDING
    await other.repository.close()


async def test_a_backup_says_that_artifacts_are_missing(tmp_path):
    data = await Data(tmp_path / "server").open()
    job = await data.running()
    now = data.clock.now()
    await data.repository.finish(job.id, attempt=1, result=PASSED, now=now, collect=True)
    kept = write(data.repository.artifacts, job.id, a=b"content")
    await data.repository.results.record(job.id, Results(artifacts=kept))
    data.repository.artifacts.remove(job.id)
    manifest = back_up(data.paths, tmp_path / "backup", data.clock)
    assert manifest.problems == [f"the artifacts of job {job.id} are missing"]
    await data.repository.close()
