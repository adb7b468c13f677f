"""The zip of a project."""

import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pytest

from ci_client.archive import blob_zip, pack, project_zip
from ci_client.files import Entry, Selection, select_files
from ci_client.upload import FilesChanged
from ci_common.errors import InvalidRequest


@contextmanager
def packed(root: Path) -> Iterator[zipfile.ZipFile]:
    with (
        pack(select_files(root), warn=pytest.fail) as target,
        zipfile.ZipFile(target) as archive,
    ):
        yield archive


def test_contents_modes_and_links_survive(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/data.bin").write_bytes(os.urandom(1000) * 1000)
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o750)
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "ünï\ncode").write_text("x")
    (tmp_path / "link").symlink_to("sub/data.bin")
    with packed(tmp_path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(
            ["sub/data.bin", "run.sh", "empty", "ünï\ncode", "link"]
        )
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        assert modes["run.sh"] == stat.S_IFREG | 0o755
        assert modes["empty"] == stat.S_IFREG | 0o644
        assert stat.S_ISLNK(modes["link"])
        assert archive.read("link") == b"sub/data.bin"
        assert archive.read("sub/data.bin") == (tmp_path / "sub/data.bin").read_bytes()


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for order in ("abc", "cab"):
        folder = tmp_path / order
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name * 100)
            os.utime(folder / name, (1e9, 1e9))
    first, second = (
        pack(select_files(tmp_path / order), warn=pytest.fail) for order in ("abc", "cab")
    )
    with first, second:
        assert first.read() == second.read()


@pytest.mark.parametrize(
    ("mtime", "expected"), [(0, 1980), (-1e9, 1980), (1e9, 2001), (2e10, 2107)]
)
def test_times_that_zip_does_not_know_are_moved_to_the_nearest(
    tmp_path: Path, mtime: float, expected: int
) -> None:
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", (mtime, mtime))
    with packed(tmp_path) as archive:
        assert archive.infolist()[0].date_time[0] == expected


def test_times_are_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", (1e9, 1e9))
    with packed(tmp_path) as archive:
        assert archive.infolist()[0].date_time == (2001, 9, 9, 1, 46, 40)


class TestFilesThatChangeMeanwhile:
    @pytest.fixture
    def selection(self, tmp_path: Path) -> Selection:
        for name in ("a", "b"):
            (tmp_path / name).write_text("x" * 100)
        return select_files(tmp_path)

    def pack(self, selection: Selection) -> tuple[IO[bytes], list[str]]:
        warnings: list[str] = []
        return pack(selection, warn=warnings.append), warnings

    def test_a_vanished_file_is_left_out_and_mentioned(self, selection: Selection) -> None:
        Path(selection.root, "a").unlink()
        target, warnings = self.pack(selection)
        with target, zipfile.ZipFile(target) as archive:
            assert archive.namelist() == ["b"]
        assert warnings == ["a is left out: No such file or directory"]

    @pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
    def test_a_file_that_became_something_else_is_left_out(
        self, selection: Selection, kind: str
    ) -> None:
        path = Path(selection.root, "a")
        path.unlink()
        {"fifo": os.mkfifo, "link": lambda p: p.symlink_to("b"), "folder": os.mkdir}[kind](path)
        target, warnings = self.pack(selection)
        with target, zipfile.ZipFile(target) as archive:
            assert archive.namelist() == ["b"]
        assert len(warnings) == 1

    def test_a_grown_file_is_cut_where_it_ended(self, selection: Selection) -> None:
        Path(selection.root, "a").write_text("y" * 500)
        target, _ = self.pack(selection)
        with target, zipfile.ZipFile(target) as archive:
            assert archive.read("a") == b"y" * 100

    def test_a_shrunk_file_is_taken_as_it_is(self, selection: Selection) -> None:
        Path(selection.root, "a").write_text("y")
        target, _ = self.pack(selection)
        with target, zipfile.ZipFile(target) as archive:
            assert archive.read("a") == b"y"

    def test_nothing_left_is_an_error_and_leaves_no_file(
        self, selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        for name in ("a", "b"):
            Path(selection.root, name).unlink()
        with pytest.raises(InvalidRequest, match="no file that can be read"):
            self.pack(selection)
        assert not list(temporary.iterdir())


def test_progress_names_each_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    told: list[str] = []
    pack(select_files(tmp_path), warn=pytest.fail, progress=told.append).close()
    assert told == ["a", "b"]


def test_a_large_zip_lies_on_disk_and_is_deleted_when_closed(tmp_path: Path) -> None:
    (tmp_path / "big.zip").write_bytes(os.urandom(9 * 1024 * 1024))  # stored, so as large
    target = pack(select_files(tmp_path), warn=pytest.fail)
    descriptor = target.fileno()
    assert os.fstat(descriptor).st_size > 9 * 1024 * 1024
    assert os.fstat(descriptor).st_nlink == 0
    target.close()


class TestAZipThatGrows:
    @pytest.fixture
    def selection(self, tmp_path: Path) -> Selection:
        for name in ("a", "b", "c"):
            (tmp_path / name).write_bytes(os.urandom(700_000))
        return select_files(tmp_path)

    def test_it_goes_out_while_the_rest_is_still_to_be_read(self, selection: Selection) -> None:
        read: list[str] = []
        with closing(project_zip(selection, warn=pytest.fail, progress=read.append)) as growing:
            pieces = growing.pieces()
            next(pieces)
            assert read == ["a"]
            assert growing.size is None
            assert growing.progress(1)[0] < growing.progress(1)[1] == 2_100_000
            rest = sum(map(len, pieces))
            assert read == ["a", "b", "c"]
            assert growing.size is not None
            assert growing.progress(growing.size) == (growing.size, growing.size)
            assert rest < growing.size

    def test_sent_again_it_is_the_same_though_the_files_are_not(self, selection: Selection) -> None:
        with closing(project_zip(selection, warn=pytest.fail)) as growing:
            pieces = growing.pieces()
            begun = [next(pieces) for _ in range(4)]  # and then the connection breaks
            pieces.close()
            assert read_of_first(begun)
            (Path(selection.root) / "a").write_bytes(b"new")
            again = b"".join(growing.pieces())
            assert again.startswith(b"".join(begun))
            assert b"".join(growing.pieces()) == again
            with zipfile.ZipFile(io.BytesIO(again)) as archive:
                assert archive.testzip() is None
                assert archive.namelist() == ["a", "b", "c"]

    def test_one_that_failed_does_not_look_like_one_that_is_done(
        self, selection: Selection
    ) -> None:
        for name in ("a", "b", "c"):
            (Path(selection.root) / name).unlink()
        with closing(project_zip(selection, warn=lambda _: None)) as growing:
            for _ in range(2):
                with pytest.raises(InvalidRequest, match="no file that can be read"):
                    list(growing.pieces())
            assert growing.size is None

    def test_contents_that_are_not_what_their_name_says_are_not_sent(
        self, selection: Selection
    ) -> None:
        for named in (selection.entries[0], Entry("gone", 5, executable=False, mtime=0)):
            with (
                closing(blob_zip(selection.root, [("0" * 64, named)])) as growing,
                pytest.raises(FilesChanged),
            ):
                list(growing.pieces())


def read_of_first(begun: list[bytes]) -> bool:
    """Whether the first file has been read to its end."""
    return sum(map(len, begun)) > 700_000
