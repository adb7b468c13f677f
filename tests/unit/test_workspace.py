"""The tar a container is fed: right for real tars, small in memory, whole or unmarked."""

import io
import os
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import ContainerFailed
from ci_common.executor import FED_MARKER
from ci_controller.workspace import CHUNK_BYTES, ProjectTar
from tests.fakes.zips import SMALL_ZIPS, Member, build, file, folder, link, mutated

MIB = 1024**2
SCRIPT, ENVIRONMENT = b"echo hello\n", b"A=1\n"


def stashed(folder_: Path, data: bytes, *, arrived: int = 1_700_000_000) -> Path:
    path = folder_ / "project.zip"
    path.write_bytes(data)
    os.utime(path, (arrived, arrived))
    return path


def members(path: Path) -> list[tarfile.TarInfo]:
    data = b"".join(ProjectTar(path, SCRIPT, ENVIRONMENT))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def test_the_order_is_script_environment_project_marker(tmp_path):
    path = stashed(tmp_path, build(file("b/c/d"), folder("a"), file("a/x"), link("l", "a")))

    names = [member.name for member in members(path)]

    assert names[:3] == ["job.sh", "env", "workspace"]
    assert names[-1] == FED_MARKER
    assert sorted(names[3:-1]) == [
        f"workspace/{name}" for name in ("a", "a/x", "b", "b/c", "b/c/d", "l")
    ]
    for name in names[3:-1]:
        assert names.index(name.rpartition("/")[0]) < names.index(name)


def test_without_an_environment_there_is_no_file_for_it(tmp_path):
    path = stashed(tmp_path, build(file("a")))

    with tarfile.open(fileobj=io.BytesIO(b"".join(ProjectTar(path, SCRIPT)))) as tar:
        assert tar.getnames() == ["job.sh", "workspace", "workspace/a", FED_MARKER]


def test_everything_belongs_to_nobody_in_particular(tmp_path):
    for member in members(stashed(tmp_path, build(file("a"), folder("b"), link("l", "a")))):
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


@pytest.mark.parametrize(
    ("member", "mode"),
    [
        (file("f", mode=0o4777), 0o755),
        (file("f", mode=0o666), 0o644),
        (file("f", mode=0o500), 0o500),
        (file("f", mode=0), 0o644),
        (Member(name=b"f", mode=0), 0o644),
        (Member(name=b"f/", mode=0), 0o755),
        (folder("f", mode=0o777), 0o755),
        (folder("f", mode=0o555), 0o755),
        (folder("f", mode=0o700), 0o700),
    ],
)
def test_permissions(tmp_path, member, mode):
    path = stashed(tmp_path, build(member, file("other")))

    (found,) = (m for m in members(path) if m.name == "workspace/f")

    assert oct(found.mode) == oct(mode)


@pytest.mark.parametrize(
    ("when", "arrived", "modified"),
    [
        ((12 << 11 | 34 << 5 | 28, 45 << 9 | 6 << 5 | 1), 1_900_000_000, 1_748_781_296),
        ((0, 45 << 9 | 6 << 5 | 1), 1_000_000_000, 1_000_000_000),
        ((0, 0), 1_900_000_000, 315_619_200),
        ((0xFFFF, 0xFFFF), 1_900_000_000, 315_619_200),
    ],
    ids=["as in the zip", "not after the zip came", "no date", "no such date"],
)
def test_times(tmp_path, when, arrived, modified):
    path = stashed(tmp_path, build(Member(name=b"a", when=when)), arrived=arrived)

    assert {m.name: m.mtime for m in members(path)}["workspace/a"] == modified


def test_the_same_zip_gives_the_same_bytes(tmp_path):
    path = stashed(tmp_path, build(file("b/c"), file("a"), folder("d"), link("l", "a")))

    first, second = (list(ProjectTar(path, SCRIPT, ENVIRONMENT)) for _ in range(2))

    assert first == second


def test_the_size_is_known_before_the_first_byte(tmp_path):
    long = "d/" * 60 + "é" * 60
    zipped = build(file("a", b"x" * 513), file(long), folder("f"), link("l", "./" * 60 + "a"))
    tar = ProjectTar(stashed(tmp_path, zipped), SCRIPT, ENVIRONMENT)
    size = tar.size

    for _ in range(2):
        assert sum(map(len, tar)) == size
    assert tar.size == size


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"a/b/c"}, ["a", "a/b", "a/b/c"]),
        ({"a/l"}, ["a", "a/l"]),
        ({"top", "a/x"}, ["a", "a/x", "top"]),
        (set(), []),
    ],
)
def test_only_some_files_with_their_folders(tmp_path, wanted, names):
    zipped = build(
        folder("a", mode=0o700), file("a/b/c"), file("a/x"), link("a/l", "x"),
        folder("empty"), file("top"),
    )  # fmt: skip
    path = stashed(tmp_path, zipped)
    everything = {member.name: member.get_info() for member in members(path)}

    tar = ProjectTar(path, SCRIPT, only=wanted.__contains__)
    size = tar.size
    data = b"".join(tar)

    assert len(data) == size
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        found = opened.getmembers()
    prefix = "workspace/"
    assert sorted(m.name for m in found if m.name.startswith(prefix)) == [prefix + n for n in names]
    assert found[-1].name == FED_MARKER
    assert all(everything[member.name] == member.get_info() for member in found)


def test_a_file_beyond_octal_sizes_has_a_header_tars_read(tmp_path):
    from ci_controller import workspace

    size = 20 * 1024**3
    header = workspace._header(b"big", b"0", mode=0o644, size=size, modified=0)

    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size


def test_small_files_share_chunks_and_large_ones_are_cut(tmp_path):
    files = [file(f"{n}", os.urandom(300)) for n in range(2000)]
    path = stashed(tmp_path, build(*files, file("big", os.urandom(3 * MIB))))

    sizes = [len(chunk) for chunk in ProjectTar(path, SCRIPT)]

    assert all(CHUNK_BYTES <= size <= 2 * CHUNK_BYTES for size in sizes[:-1])
    assert sizes[-1] <= 2 * CHUNK_BYTES


def test_memory_does_not_grow_with_a_files_size(tmp_path):
    path = tmp_path / "big.zip"
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("zeros", "w") as member:
        for _ in range(300):
            member.write(bytes(MIB))

    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in ProjectTar(path, SCRIPT))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert total > 300 * MIB
    assert peak < 4 * MIB


def test_a_vanished_zip_has_no_size(tmp_path):
    with pytest.raises(ContainerFailed, match="cannot be read"):
        _ = ProjectTar(tmp_path / "gone.zip", SCRIPT).size


def fed_before_failing(path: Path) -> tuple[bytes, ContainerFailed]:
    sent: list[bytes] = []
    with pytest.raises(ContainerFailed) as failed:
        sent.extend(ProjectTar(path, SCRIPT, ENVIRONMENT))
    return b"".join(sent), failed.value


def test_a_vanished_zip_sends_nothing_and_names_no_path(tmp_path):
    sent, failed = fed_before_failing(tmp_path / "gone.zip")

    assert sent == b""
    assert failed.detail == "the job's stashed project cannot be read: No such file or directory"
    assert failed.hint == "Submit it again."


def damaged(data: bytes) -> dict[str, bytes]:
    middle = len(data) // 2
    return {
        "cut": data[:middle],
        "emptied": b"",
        "bit flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    }


@pytest.mark.parametrize("damage", ["cut", "emptied", "bit flipped"])
def test_a_damaged_zip_never_gives_the_marker(tmp_path, damage):
    data = build(file("a", os.urandom(MIB)), file("b", os.urandom(MIB)))
    path = stashed(tmp_path, damaged(data)[damage])

    sent, failed = fed_before_failing(path)

    assert "cannot be read: the " in failed.detail
    assert FED_MARKER.encode() not in sent


def test_a_zip_cut_while_it_is_fed_never_gives_the_marker(tmp_path):
    path = stashed(tmp_path, build(file("a", os.urandom(MIB)), file("b", os.urandom(MIB))))
    sent = bytearray()

    def feed():
        for chunk in ProjectTar(path, SCRIPT):
            sent.extend(chunk)
            os.truncate(path, MIB // 2)

    with pytest.raises(ContainerFailed, match=r"cut off|cannot be inflated|not where"):
        feed()

    assert sent
    assert FED_MARKER.encode() not in sent


@settings(max_examples=300, deadline=10_000)
@given(
    st.sampled_from(SMALL_ZIPS),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=3),
)
def test_a_mutated_zip_is_fed_whole_or_without_the_marker(data, changes):
    with tempfile.TemporaryDirectory() as name:
        path = stashed(Path(name), mutated(data, changes))
        sent: list[bytes] = []
        whole = True
        try:
            sent.extend(ProjectTar(path, SCRIPT))
        except ContainerFailed:
            whole = False

    end = b"".join(sent)[-3 * 512 :]
    assert whole == end.startswith(FED_MARKER.encode() + b"\0")


def is_open(path: Path) -> bool:
    links = Path("/proc/self/fd").iterdir()
    return any(os.path.realpath(entry) == str(path) for entry in links)


def test_the_file_is_closed_when_the_feed_is_given_up(tmp_path):
    path = stashed(tmp_path, build(file("a", os.urandom(MIB))))
    feed = iter(ProjectTar(path, SCRIPT))
    next(feed)
    assert is_open(path)
    feed.close()
    assert not is_open(path)


def test_the_file_is_closed_when_the_feed_does_not_begin(tmp_path):
    path = stashed(tmp_path, build(file("a")))
    tar = ProjectTar(path, SCRIPT)
    assert not is_open(path)
    assert tar.size
    assert is_open(path)
    del tar
    assert not is_open(path)
