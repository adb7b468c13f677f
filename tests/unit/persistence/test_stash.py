"""Zips: whole under their final name or not there, and nothing left behind."""

import gc
import hashlib
import os
import stat
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci_common.errors import JobNotFound, StorageFull, UploadTooLarge
from ci_persistence.stash import FileStash
from tests.unit.persistence.processes import run_python

JOB = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAR = NOON.replace(year=2100)


@pytest.fixture
def stash(tmp_path: Path) -> FileStash:
    return FileStash(tmp_path / "stash", tmp_path / "tmp", max_bytes=1000)


def stashed(stash: FileStash, job_id: str = JOB, content: bytes = b"zip") -> Path:
    upload = stash.new_upload()
    upload.write(content)
    path = Path(upload.commit(job_id))
    upload.discard()
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def age(path: Path, when: datetime) -> None:
    os.utime(path, (when.timestamp(), when.timestamp()))


def test_an_upload_becomes_the_zip_of_its_job(stash, tmp_path):
    upload = stash.new_upload()
    upload.write(b"PK")
    upload.write(b"\x03\x04")
    assert Path(upload.path).read_bytes() == b"PK\x03\x04"
    assert upload.size == 4
    assert upload.sha256() == hashlib.sha256(b"PK\x03\x04").hexdigest()
    assert files(tmp_path / "stash") == []

    path = upload.commit(JOB)
    upload.discard()

    assert path == upload.path == str(tmp_path / "stash" / f"{JOB}.zip")
    assert Path(path).read_bytes() == b"PK\x03\x04"
    assert files(tmp_path) == [f"stash/{JOB}.zip"]


def test_a_write_that_takes_only_a_part_is_gone_on_with(stash, monkeypatch):
    real_write = os.write
    monkeypatch.setattr("ci_persistence.stash.os.write", lambda fd, data: real_write(fd, data[:3]))
    assert stashed(stash, content=b"0123456789").read_bytes() == b"0123456789"


def test_only_the_owner_may_read_a_zip(stash, tmp_path):
    path = stashed(stash)
    for place in (path, path.parent, tmp_path / "tmp"):
        assert place.stat().st_mode & 0o077 == 0


def test_a_discarded_upload_leaves_nothing(stash, tmp_path):
    upload = stash.new_upload()
    upload.write(b"x")
    upload.discard()
    upload.discard()
    assert files(tmp_path) == []


def test_discarding_after_the_commit_does_nothing(stash):
    upload = stash.new_upload()
    path = Path(upload.commit(JOB))
    upload.discard()
    assert path.exists()


def test_an_upload_over_the_limit_is_refused_at_once_and_leaves_nothing(stash, tmp_path):
    upload = stash.new_upload()
    upload.write(b"x" * 1000)
    with pytest.raises(UploadTooLarge, match="1000 bytes"):
        upload.write(b"x")
    assert files(tmp_path) == []
    upload.discard()


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_answer(stash, monkeypatch):
    done = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(fd):
        done.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink().name))
        real_fsync(fd)

    def rename(path, target):
        done.append(("rename", target.name))
        return real_rename(path, target)

    upload = stash.new_upload()
    upload.write(b"x")
    temporary = Path(upload.path).name
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    upload.commit(JOB)
    upload.discard()
    assert done == [
        ("fsync", temporary),
        ("rename", f"{JOB}.zip"),
        ("fsync", "stash"),
        ("fsync", "tmp"),
    ]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_commit_that_fails_leaves_nothing(stash, tmp_path, monkeypatch, failing):
    calls = []

    def fsync(fd):
        calls.append(fd)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")

    upload = stash.new_upload()
    upload.write(b"x")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFull):
        upload.commit(JOB)
    assert files(tmp_path) == []


def test_another_fault_is_not_taken_for_a_full_disk(stash, tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(5, "Input/output error")

    upload = stash.new_upload()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        upload.commit(JOB)
    assert files(tmp_path) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from ci_common.errors import StorageFull
from ci_persistence.stash import FileStash

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
folder = Path(sys.argv[1])
upload = FileStash(folder / "stash", folder / "tmp").new_upload()
upload.write(b"x" * 800)
try:
    upload.write(b"x" * 800)
except StorageFull:
    print("full")
upload.discard()
"""


def test_a_kernel_that_takes_no_more_is_a_full_disk_and_nothing_is_left(tmp_path):
    assert run_python(FULL_DISK, tmp_path) == (0, "full\n")
    assert files(tmp_path) == []


def test_a_full_disk_at_the_beginning_is_said(stash, monkeypatch):
    def no_room(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ci_persistence.held_files.tempfile.mkstemp", no_room)
    with pytest.raises(StorageFull):
        stash.new_upload()


@pytest.mark.parametrize("job_id", ["", "../evil", "/evil", "a/b", "A", "x"])
def test_no_id_leads_out_of_the_stash(stash, tmp_path, job_id):
    upload = stash.new_upload()
    with pytest.raises(JobNotFound):
        upload.commit(job_id)
    with pytest.raises(JobNotFound):
        stash.remove_job(job_id)
    upload.discard()
    assert files(tmp_path) == []


def test_a_zip_can_be_removed_by_its_path_and_by_its_job_twice(stash, tmp_path):
    path = stashed(stash)
    stash.remove(str(path))
    stash.remove(str(path))
    assert files(tmp_path) == []
    stashed(stash)
    stash.remove_job(JOB)
    stash.remove_job(JOB)
    assert files(tmp_path) == []


def test_nothing_outside_the_stash_is_removed(stash, tmp_path):
    outside = tmp_path / "precious.zip"
    outside.write_bytes(b"x")
    stashed(stash)
    for path in (str(outside), "", "/", "..", str(tmp_path)):
        stash.remove(path)
    assert files(tmp_path) == ["precious.zip", f"stash/{JOB}.zip"]


def test_zips_are_listed_by_age(stash):
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    age(stashed(stash, old), NOON - timedelta(seconds=1))
    age(stashed(stash, young), NOON)
    assert list(stash.stashed(older_than=NOON)) == [old]
    assert set(stash.stashed(older_than=NOON + timedelta(seconds=1))) == {old, young}


def abandoned(folder: Path) -> Path:
    """Leave a file as a process that was killed leaves it."""
    number = len(files(folder))
    path = folder / "tmp" / f"upload-{number}.zip"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"PK")
    return path


SWEEP = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ci_persistence.stash import FileStash

folder = Path(sys.argv[1])
stash, far = FileStash(folder / "stash", folder / "tmp"), datetime(2100, 1, 1, tzinfo=UTC)
print(
    stash.sweep_uploads(older_than=far),
    sorted(stash.stashed(older_than=far)),
    stash.kept_packs(older_than=far),
)
"""


def test_uploads_that_nobody_writes_any_more_are_swept(stash, tmp_path):
    old, young = abandoned(tmp_path), abandoned(tmp_path)
    age(old, NOON - timedelta(seconds=1))
    age(young, NOON)
    assert stash.sweep_uploads(older_than=NOON) == 1
    assert files(tmp_path) == [f"tmp/{young.name}"]


def test_an_upload_under_way_is_not_swept_however_old_it_seems(stash, tmp_path):
    """Also from another process: the lock is the kernel's, and ends with the process."""
    upload = stash.new_upload()
    upload.write(b"PK")
    assert stash.sweep_uploads(older_than=FAR) == 0
    assert run_python(SWEEP, tmp_path) == (0, "0 [] set()\n")
    pack = stash.new_upload()
    pack.commit_pack(255)
    tree = stash.keep_tree(OTHER, b"tree")
    upload.commit(JOB)
    assert run_python(SWEEP, tmp_path) == (0, "0 [] set()\n")
    for each in (upload, pack, tree):
        each.discard()
    assert run_python(SWEEP, tmp_path) == (0, f"0 {[JOB, OTHER]} {{255}}\n")


def test_an_upload_whose_file_a_sweep_took_before_it_was_locked_has_another(
    stash, tmp_path, monkeypatch
):
    real_mkstemp = tempfile.mkstemp
    taken = []

    def mkstemp(**options):
        fd, name = real_mkstemp(**options)
        if not taken:
            taken.append(name)
            assert stash.sweep_uploads(older_than=FAR) == 1
        return fd, name

    monkeypatch.setattr("ci_persistence.held_files.tempfile.mkstemp", mkstemp)
    upload = stash.new_upload()
    assert upload.path not in taken
    assert Path(upload.commit(JOB)).exists()
    upload.discard()


def test_an_upload_that_nobody_lets_go_of_is_swept_when_it_is_forgotten(stash, tmp_path):
    """A request that is called off while its upload is being opened never sees it."""
    uploads = [stash.new_upload()]
    with pytest.warns(ResourceWarning):
        uploads.clear()
    gc.collect()
    assert stash.sweep_uploads(older_than=FAR) == 1


def test_before_the_first_upload_there_is_nothing_to_sweep(stash):
    assert list(stash.stashed(older_than=NOON)) == []
    assert stash.sweep_uploads(older_than=NOON) == 0


def test_a_tree_is_written_as_safely_as_a_zip(stash, tmp_path):
    tree = stash.keep_tree(JOB, b"tree" * 1000)  # more than an upload may have
    tree.discard()
    path = tree.path
    assert path == str(tmp_path / "stash" / f"{JOB}.tree")
    assert Path(path).read_bytes() == b"tree" * 1000
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert files(tmp_path) == [f"stash/{JOB}.tree"]
    stash.remove(path)
    stash.keep_tree(JOB, b"tree").discard()
    assert list(stash.stashed(older_than=FAR)) == [JOB]
    stash.remove_job(JOB)
    assert files(tmp_path) == []


def test_a_pack_is_kept_by_its_number(stash, tmp_path):
    upload = stash.new_upload()
    upload.write(b"zip")
    assert upload.commit_pack(255) == str(tmp_path / "packs" / "00000000000000ff.zip")
    upload.discard()
    assert stash.lost_packs({255, 256}) == {256}
    assert stash.kept_packs(older_than=FAR) == {255}
    assert stash.kept_packs(older_than=NOON.replace(year=1999)) == set()
    stash.remove_pack(255)
    stash.remove_pack(255)
    assert stash.lost_packs({255}) == {255}
    assert files(tmp_path) == []
