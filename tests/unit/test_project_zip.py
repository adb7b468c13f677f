"""What passes the check, what it costs, and where the limits are."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from ci_common.errors import InvalidArchive
from ci_common.project_zip import ZipLimits, ZipSummary, check_zip, read_files
from tests.fakes.zips import (
    Member,
    build,
    end_record,
    file,
    folder,
    honest_zip,
    link,
    parts_of,
)

MIB = 1024**2
HONEST = honest_zip({"a.py": b"print(1)\n" * 50, "tests/test_a.py": b"def test(): pass\n"})


def check(data: bytes, **limits: int) -> ZipSummary:
    return check_zip(io.BytesIO(data), ZipLimits(**limits))


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(InvalidArchive) as refused:
        check(data, **limits)
    return refused.value.detail


def named(*names: str) -> bytes:
    return build(*(file(name) for name in names))


def test_a_refusal_says_what_to_do():
    with pytest.raises(InvalidArchive) as refused:
        check(build(Member(name=b"a", flags=1)))

    assert refused.value.hint == "Make the zip without a password."


def test_refuses_too_many_entries_before_reading_them():
    body, table = parts_of(file("a"))
    lie = body + table + end_record(3, len(table), len(body))

    assert refusal(lie, max_files=2) == "the zip holds more than 2 files and folders"


def test_counts_folders_that_paths_imply():
    assert check(named("a/b/c"), max_files=3).files == 1
    assert refusal(named("a/b/c/d"), max_files=3) == "the zip holds more than 3 files and folders"


def test_refuses_a_table_of_contents_that_is_too_large():
    assert "table of contents is 94 bytes" in refusal(named("a", "b"), max_directory_bytes=93)
    assert check(named("a", "b"), max_directory_bytes=94).files == 2


def test_refuses_more_than_may_be_unpacked():
    data = named("a", "b")

    assert check(data, max_unpacked_bytes=12).unpacked_bytes == 12
    said = refusal(data, max_unpacked_bytes=11)
    assert said == "the zip unpacks to more than 11 bytes, the most this server takes"


def test_counts_what_is_unpacked_and_not_what_is_declared():
    lies = build(Member(name=b"a", content=bytes(MIB), size=5))

    assert "more than the 5 bytes it declares" in refusal(lies, max_unpacked_bytes=10)


def test_a_ratio_counts_only_above_a_floor():
    data = build(file("zeros", bytes(MIB)))

    assert check(data, max_ratio=200, ratio_free_bytes=MIB).unpacked_bytes == MIB
    said = refusal(data, max_ratio=200, ratio_free_bytes=MIB - 1)
    assert said.endswith(f"more than {MIB - 1} bytes, more than 200 times its size")


def test_the_default_limits_stop_a_deflate_bomb():
    data = build(file("zeros", bytes(65 * MIB)))

    assert "more than 200 times its size" in refusal(data)


def test_zips_inside_a_zip_are_files_like_others():
    inner = honest_zip({"zeros": bytes(MIB)})

    assert check(honest_zip({f"{n}.zip": inner for n in range(16)})).files == 16


def test_says_what_the_zip_holds():
    data = build(folder("src"), file("src/b.py", b"12345"), link("a", "src/b.py"), file("c", b""))

    summary = check(data)

    tree = summary.tree_sha256
    assert summary == ZipSummary(3, 13, ("src/b.py", "a", "c"), tree_sha256=tree)


def test_takes_a_path_and_an_open_file_which_stays_open(tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(HONEST)

    with path.open("rb") as stream:
        assert check_zip(stream).files == 2
        assert not stream.closed
    assert check_zip(path).files == check_zip(str(path)).files == 2


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Icon\r", "Icon\r"),
        ("naïve/日本.py".encode(), "naïve/日本.py"),
        (b"caf\x82", "café"),
        (b"./a/./b", "a/b"),
        (b"...", "..."),
        (b"..a/b..", "..a/b.."),
        (b"x" * 255, "x" * 255),
    ],
)
def test_keeps_unusual_names(raw, name):
    assert check(build(Member(name=raw))).names == (name,)


def test_a_zip_of_a_folder_itself_is_fine():
    assert check(build(folder("."), file("./a"))).names == ("a",)


def test_a_comment_is_fine_whatever_it_says():
    fake_end = end_record(9, 9, 9)[:20]

    assert check(build(file("a"), comment=fake_end + b"\xff\xff and more")).files == 1


def test_gaps_between_entries_are_fine():
    descriptor = struct.pack("<4s3L", b"PK\x07\x08", 0, 0, 0)

    assert check(build(Member(name=b"a", after=descriptor), file("b"))).files == 2


def test_reads_zip64(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)

    data = honest_zip({"a": b"x" * 50, "b": b"y" * 50})

    assert b"PK\x06\x06" in data
    assert check(data).unpacked_bytes == 100


def test_collects_wanted_files_in_passing():
    data = build(file("a.toml", b"A"), file("b.py", b"B"), link("l", "a.toml"), link("gone", "x"))
    asked = []

    def wanted(names):
        asked.append(names)
        return {"a.toml", "l", "gone", "missing"}

    summary = check_zip(io.BytesIO(data), collect=wanted)

    assert asked == [("a.toml", "b.py", "l", "gone")]
    assert summary.collected == {"a.toml": b"A", "l": b"A"}


def test_collects_no_more_than_the_limits_allow():
    data = build(file("a", b"1234"), file("b", b"12345"), file("c", b"123"), file("d", b"1"))
    limits = ZipLimits(max_collected_file_bytes=4, max_collected_bytes=7)

    first, last = (
        check_zip(io.BytesIO(data), limits, collect=lambda names, order=order: names[::order])
        for order in (1, -1)
    )

    assert first.collected == {"a": b"1234", "c": b"123"}
    assert last.collected == {"d": b"1", "c": b"123"}


def test_reads_single_files():
    data = build(file("a", b"1234"), file("b", b"12345"), folder("f"), link("l", "./f/../a"))

    found = read_files(io.BytesIO(data), ["a", "b", "f", "l", "none"], max_bytes_each=4)

    assert found == {"a": b"1234", "l": b"1234"}


def test_a_lie_about_the_size_costs_no_memory():
    data = build(Member(name=b"a", content=bytes(30 * MIB), size=5))

    tracemalloc.start()
    try:
        assert "more than the 5 bytes it declares" in refusal(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < MIB


def test_memory_does_not_grow_with_a_files_size(tmp_path):
    path, size = tmp_path / "big.zip", 300 * MIB
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("zeros", "w") as member:
        for _ in range(300):
            member.write(bytes(MIB))

    tracemalloc.start()
    try:
        summary = check_zip(path, ZipLimits(max_ratio=2000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert summary.unpacked_bytes == size
    assert peak < 4 * MIB
