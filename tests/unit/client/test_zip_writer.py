"""Zips that other programs can read, small and very large ones."""

import io
import stat
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client import zip_writer
from ci_client.zip_writer import ZipWriter
from ci_common.project_zip import UNLIMITED, Archive

MOMENT = (2026, 1, 2, 3, 4, 6)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8)


def written(files: dict[str, list[bytes]], *, pack: bool = True) -> io.BytesIO:
    archive = ZipWriter(level=1)
    target = io.BytesIO()
    for name, content in files.items():
        size = sum(map(len, content))
        mode = stat.S_IFREG | 0o755
        target.writelines(
            archive.add(name, content, mode=mode, moment=MOMENT, size=size, pack=pack)
        )
    target.writelines(archive.finish())
    return target


@given(st.dictionaries(names, st.lists(st.binary(max_size=200), max_size=3)), st.booleans())
def test_what_is_written_can_be_read(files: dict[str, list[bytes]], pack: bool) -> None:
    with zipfile.ZipFile(written(files, pack=pack)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: b"".join(content) for name, content in files.items()
        }
        for info in archive.infolist():
            assert info.date_time == MOMENT
            assert info.external_attr >> 16 == stat.S_IFREG | 0o755


def test_with_sizes_of_64_bits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_writer, "_WIDE_FROM", 10)
    target = written({"large": [b"x" * 1000], "small": [b"y"]})
    assert b"PK\6\6" in target.getvalue()
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.read("large") == b"x" * 1000
        assert [info.extract_version for info in archive.infolist()] == [45, 20]
    ours = Archive(target, UNLIMITED)
    assert {entry.path: b"".join(ours.content(entry)) for entry in ours.entries} == {
        "large": b"x" * 1000,
        "small": b"y",
    }


def test_more_entries_than_16_bits_can_count() -> None:
    target = written({str(number): [] for number in range(70_000)}, pack=False)
    with zipfile.ZipFile(target) as archive:
        assert len(archive.namelist()) == 70_000


def test_an_entry_that_begins_beyond_32_bits() -> None:
    archive = ZipWriter(level=1)
    archive._position = beyond = 0x1_0000_0010
    parts = [*archive.add("far", [b"x"], mode=0, moment=MOMENT, size=1, pack=False)]
    parts += archive.finish()
    # As if so much stood in front of it, of which zipfile finds out how much is missing.
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as read:
        assert read.getinfo("far").header_offset == 0
        assert read.start_dir == len(parts[0]) + len(parts[1]) + len(parts[2])
    assert struct.pack("<2H3Q", 1, 24, 1, 1, beyond) in parts[3]
