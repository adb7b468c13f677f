"""Logs: the engine's bytes or a beginning of them, and at most one marker at the end."""

import errno
import os
import stat
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import JobNotFound
from ci_persistence.logs import FileLogStore, FileLogWriter
from tests.unit.persistence.processes import run_python

JOB = "0b1c2d3e-0000-4000-8000-000000000001"
OUTPUT = bytes(range(256)) * 4 + b"\n\xff\xfe\x00\r\r\n"

LIMIT_MARKER = b"[ci] The log limit is reached: output after byte %d is not kept.\n"
LOSS_MARKER = b"[ci] The disk was full: %d bytes of output after byte %d could not be kept.\n"


@pytest.fixture
def store(tmp_path: Path) -> FileLogStore:
    return FileLogStore(tmp_path / "logs", limit=10_000)


def everything(store: FileLogStore, job_id: str = JOB) -> bytes:
    return store.read(job_id, 0, 1_000_000)


def written(store: FileLogStore, *pieces: bytes, **options: bool) -> bytes:
    """Open, write, close; return the whole log."""
    writer = store.open(JOB, **options)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return everything(store)


def kill(writer: FileLogWriter) -> None:
    """Let go of the file as a killed process does: without a word."""
    if not writer.sealed:
        os.close(writer._fd)
        writer._sealed, writer._fd, writer._lost = True, -1, 0


# --- writing and reading -------------------------------------------------------------------


def test_bytes_are_kept_as_they_are(store):
    assert written(store, OUTPUT, b"", OUTPUT) == OUTPUT * 2


def test_what_was_written_can_be_read_before_the_log_is_closed(store):
    writer = store.open(JOB)
    writer.write(b"hello")
    assert everything(store) == b"hello"
    assert store.size(JOB) == writer.size == 5
    writer.close()


def test_reading_is_by_offset(store):
    written(store, b"0123456789")
    assert store.read(JOB, 3, 4) == b"3456"
    assert store.read(JOB, 8, 100) == b"89"
    assert store.read(JOB, 10, 100) == b""
    assert store.read(JOB, 99, 100) == b""


def test_a_log_that_is_not_there_is_empty(store):
    assert store.size(JOB) == 0
    assert everything(store) == b""
    store.remove(JOB)


def test_a_removed_log_is_gone(store):
    written(store, b"x")
    store.remove(JOB)
    assert store.size(JOB) == 0


def test_a_log_is_gone_on_with_at_its_end(store):
    written(store, b"one\n")
    writer = store.open(JOB)
    assert writer.size == 4
    writer.write(b"two\n")
    writer.close()
    assert everything(store) == b"one\ntwo\n"


def test_closing_twice_is_as_once_and_a_closed_log_takes_nothing(store):
    writer = store.open(JOB)
    writer.write(b"x")
    writer.close()
    writer.close()
    writer.write(b"y")
    assert everything(store) == b"x"


def test_a_log_and_its_name_are_synced(store, tmp_path, monkeypatch):
    synced = []
    note = lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))  # noqa: E731
    monkeypatch.setattr(os, "fsync", note)
    store.sync(JOB)
    assert synced == [], "there is none yet"
    written(store, OUTPUT)
    synced.clear()
    store.sync(JOB)
    assert synced == [str(tmp_path / "logs" / f"{JOB}.log"), str(tmp_path / "logs")]


def test_a_log_that_cannot_be_synced_is_no_error(store, monkeypatch, caplog):
    def refuse(_fd: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    written(store, OUTPUT)
    monkeypatch.setattr(os, "fsync", refuse)
    store.sync(JOB)
    assert "may not outlive a power loss" in caplog.text


def test_only_the_owner_may_read_a_log(store, tmp_path):
    written(store, b"secret")
    for path in (tmp_path / "logs", tmp_path / "logs" / f"{JOB}.log"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "job_id", ["", "../x", "..", "/etc/passwd", "a/b", "a\0b", "a.b", "ABC", "g", "a" * 37, "a\n"]
)
def test_no_id_leads_out_of_the_folder(store, job_id):
    for use in (
        lambda: store.open(job_id),
        lambda: store.size(job_id),
        lambda: store.read(job_id, 0, 1),
        lambda: store.remove(job_id),
    ):
        with pytest.raises(JobNotFound):
            use()


def test_a_link_in_the_folder_is_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"{JOB}.log").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        store.open(JOB)
    with pytest.raises(OSError, match="symbolic links"):
        store.read(JOB, 0, 1)
    assert outside.read_bytes() == b"precious"


# --- the limit -----------------------------------------------------------------------------


def test_past_the_limit_one_marker_follows_and_the_rest_is_dropped(tmp_path):
    store = FileLogStore(tmp_path, limit=10)
    assert written(store, b"1234567", b"89abc", b"def") == b"123456789a\n" + LIMIT_MARKER % 10


def test_a_marker_stands_on_a_line_of_its_own(tmp_path):
    store = FileLogStore(tmp_path, limit=4)
    assert written(store, b"123\n567") == b"123\n" + LIMIT_MARKER % 4


def test_a_log_of_just_the_limit_is_whole(tmp_path):
    store = FileLogStore(tmp_path, limit=4)
    assert written(store, b"1234", b"") == b"1234"
    assert written(store, b"5") == b"1234\n" + LIMIT_MARKER % 4


@pytest.mark.parametrize("options", [{}, {"new_attempt": True}])
def test_a_log_at_its_limit_stays_so_when_it_is_opened_again(tmp_path, options):
    store = FileLogStore(tmp_path, limit=4)
    first = written(store, b"12345")
    assert written(store, b"6789", **options) == first


def test_a_log_at_its_limit_stays_so_under_a_higher_limit(tmp_path):
    first = written(FileLogStore(tmp_path, limit=4), b"12345")
    assert written(FileLogStore(tmp_path, limit=1000), b"6789") == first


def test_a_log_beyond_a_lowered_limit_is_cut_where_it_is(tmp_path):
    written(FileLogStore(tmp_path, limit=1000), b"12345678")
    lowered = FileLogStore(tmp_path, limit=4)
    assert written(lowered, b"9") == b"12345678\n" + LIMIT_MARKER % 8


def test_a_limit_of_nothing_keeps_nothing(tmp_path):
    assert written(FileLogStore(tmp_path, limit=0), b"1") == LIMIT_MARKER % 0


# --- a full disk ---------------------------------------------------------------------------


class Disk:
    """``os.write`` on a disk that has room for so many bytes; None for no end of room.

    It never takes more than ``at_once`` bytes, as the kernel may.
    """

    def __init__(self) -> None:
        self.room: int | None = None
        self.at_once = 1_000_000
        self.error = errno.ENOSPC
        self._write = os.write

    def write(self, fd: int, data: bytes) -> int:
        data = data[: self.at_once]
        if self.room is None:
            return self._write(fd, data)
        if not self.room:
            raise OSError(self.error, os.strerror(self.error))
        count = self._write(fd, data[: self.room])
        self.room -= count
        return count


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("ci_persistence.logs.os.write", disk.write)
    return disk


def test_a_write_that_takes_only_a_part_is_gone_on_with(store, disk):
    disk.at_once = 3
    assert written(store, OUTPUT, OUTPUT) == OUTPUT * 2


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_cannot_be_written_is_dropped_and_said_at_the_end(store, disk, error):
    disk.error = error
    writer = store.open(JOB)
    writer.write(b"one\n")
    disk.room = 2
    writer.write(b"two\n")
    writer.write(b"three\n")
    assert everything(store) == b"one\ntw"
    disk.room = None
    writer.close()
    assert everything(store) == b"one\ntw\n" + LOSS_MARKER % (8, 6)


def test_room_in_the_middle_of_the_run_does_not_make_a_gap(store, disk):
    writer = store.open(JOB)
    writer.write(b"one\n")
    disk.room = 0
    writer.write(b"two\n")
    disk.room = None
    writer.write(b"three\n")
    assert everything(store) == b"one\n"
    writer.close()
    assert everything(store) == b"one\n" + LOSS_MARKER % (10, 4)


def test_a_marked_loss_stays_the_end_when_the_log_is_opened_again(store, disk):
    disk.room = 4
    writer = store.open(JOB)
    writer.write(b"one\ntwo\n")
    disk.room = None
    writer.close()
    first = everything(store)
    assert written(store, b"three\n") == first


def test_a_new_attempt_writes_on_after_a_marked_loss(store, disk):
    disk.room = 4
    writer = store.open(JOB)
    writer.write(b"one\ntwo\n")
    disk.room = None
    writer.close()
    first = everything(store)
    assert written(store, b"again\n", new_attempt=True) == first + b"again\n"


def test_a_loss_is_not_marked_when_another_process_goes_on(store, disk):
    disk.room = 2
    writer = store.open(JOB)
    writer.write(b"one\n")
    disk.room = None
    writer.close(will_resume=True)
    assert everything(store) == b"on"
    assert written(store, b"e\n") == b"one\n"


def test_a_disk_still_full_at_the_end_leaves_a_clean_beginning(store, disk):
    disk.room = 2
    writer = store.open(JOB)
    writer.write(b"one\n")
    writer.close()
    assert everything(store) == b"on"
    disk.room = None
    assert written(store, b"e\n") == b"one\n"


def test_the_marker_of_the_limit_is_written_late_if_there_was_no_room_for_it(tmp_path, disk):
    store = FileLogStore(tmp_path, limit=4)
    disk.room = 6
    writer = store.open(JOB)
    writer.write(b"123\n567")
    disk.room = None
    writer.write(b"890")
    writer.close()
    assert everything(store) == b"123\n" + LIMIT_MARKER % 4


def test_a_log_that_cannot_even_be_begun_is_marked_at_the_end(store, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ci_persistence.logs.os.open", no_room)
        writer = store.open(JOB)
        writer.write(b"lost")
    assert store.size(JOB) == writer.size == 0
    writer.close()
    assert everything(store) == LOSS_MARKER % (4, 0)


FULL_DISK = """
import resource, sys
from pathlib import Path
from ci_persistence.logs import FileLogStore

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
writer = FileLogStore(Path(sys.argv[1])).open(sys.argv[2])
for _ in range(3):
    writer.write(b"x" * 400)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.write(b"y")
writer.close()
"""


def test_a_kernel_that_takes_no_more_is_survived(tmp_path):
    code, _ = run_python(FULL_DISK, tmp_path, JOB)
    assert code == 0
    assert everything(FileLogStore(tmp_path)) == b"x" * 1000 + b"\n" + LOSS_MARKER % (201, 1000)


# --- crashes -------------------------------------------------------------------------------


def test_sealed_means_read_only_in_the_folder(tmp_path):
    store = FileLogStore(tmp_path, limit=4)
    written(store, b"12345")
    assert stat.S_IMODE((tmp_path / f"{JOB}.log").stat().st_mode) == 0o400
    store.remove(JOB)
    assert written(store, b"1") == b"1"


@settings(max_examples=150, deadline=None)
@given(
    output=st.binary(max_size=60),
    limit=st.integers(0, 70),
    crashes=st.lists(st.integers(0, 60), max_size=4),
    piece=st.integers(1, 20),
)
def test_a_log_of_crashing_processes_is_as_if_none_had_crashed(output, limit, crashes, piece):
    with tempfile.TemporaryDirectory() as folder:
        store = FileLogStore(Path(folder), limit=limit)
        for survives in [*crashes, len(output)]:
            # Each process reads the engine's output from its start and skips what is there.
            writer = store.open(JOB)
            rest = output[writer.size :]
            for start in range(0, min(survives, len(rest)), piece):
                writer.write(rest[start : start + piece])
            kill(writer)
        content = everything(store)
    whole = len(output) <= limit
    assert content[:limit] == output[:limit]
    newline = b"" if not output[:limit] or output[:limit].endswith(b"\n") else b"\n"
    assert content[limit:] == (b"" if whole else newline + LIMIT_MARKER % limit)


@settings(max_examples=150, deadline=None)
@given(
    output=st.binary(min_size=1, max_size=60),
    rooms=st.lists(st.integers(0, 20), max_size=5),
    piece=st.integers(1, 20),
)
def test_what_a_full_disk_cost_is_made_up_for_by_the_next_process(output, rooms, piece):
    job_id = str(uuid.uuid4())
    disk = Disk()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ci_persistence.logs.os.write", disk.write)
        store = FileLogStore(Path(folder))
        for disk.room in [*rooms, None]:
            writer = store.open(job_id)
            rest = output[writer.size :]
            for start in range(0, len(rest), piece):
                writer.write(rest[start : start + piece])
            kill(writer)
        assert everything(store, job_id) == output
