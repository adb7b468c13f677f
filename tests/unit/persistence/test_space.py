"""Marks that free room must not fall below, and the reserve. The disk is played."""

import os
from types import SimpleNamespace

import pytest

from ci_common.space import Deficit
from ci_persistence.space import DiskSpace, Reserve

MIB = 1024 * 1024
RESERVE = 4 * MIB


class Disks:
    """What ``statvfs`` says of each folder."""

    def __init__(self) -> None:
        self.free: dict[str, int] = {}
        self.names = 10**6
        self.all_names = 10**7

    def statvfs(self, folder):
        if str(folder) not in self.free:
            raise FileNotFoundError(folder)
        return SimpleNamespace(
            f_bavail=self.free[str(folder)] // 4096,
            f_frsize=4096,
            f_favail=self.names,
            f_files=self.all_names,
        )


@pytest.fixture
def disks(monkeypatch):
    played = Disks()
    monkeypatch.setattr("ci_persistence.space.os.statvfs", played.statvfs)
    return played


@pytest.fixture
def space(disks):
    disks.free["data"] = 1000 * MIB
    return DiskSpace(("data",), min_free=80 * MIB)


def test_there_is_room(space):
    assert space.shortage() is None
    assert space.deficit() == Deficit(0, 0)
    assert not space.deficit()


def test_a_shortage_says_what_is_left_and_what_must_be(space, disks):
    disks.free["data"] = 79 * MIB
    assert space.shortage() == (
        "the server's disk is nearly full: 79.0 MiB left, 80.0 MiB of it must stay free"
    )


def test_a_shortage_does_not_come_and_go_with_every_file(space, disks):
    told = []
    for free in (81, 79, 81, 89, 91, 81, 79):
        disks.free["data"] = free * MIB
        told.append(space.shortage() is None)
    assert told == [True, False, False, False, True, True, False]


def test_what_would_not_fit_is_refused_and_the_rest_is_not(space, disks):
    disks.free["data"] = 100 * MIB
    assert "no room for 21.0 MiB" in space.shortage(21 * MIB)
    assert space.shortage(20 * MIB) is None
    assert space.shortage() is None


def test_room_is_asked_for_before_there_is_a_shortage_until_after_it_is_over(space, disks):
    for free, missing in ((101, 0), (99, 1), (81, 19), (79, 21)):
        disks.free["data"] = free * MIB
        assert space.deficit() == Deficit(missing * MIB, 0)
    assert space.shortage()
    disks.free["data"] = 100 * MIB
    assert not space.deficit()
    assert space.shortage() is None


def test_the_fullest_disk_counts_and_a_folder_that_is_not_there_does_not(disks):
    disks.free |= {"data": 1000 * MIB, "elsewhere": 10 * MIB}
    assert DiskSpace(("data", "elsewhere", "none"), min_free=80 * MIB).shortage()
    assert DiskSpace(("data", "none"), min_free=80 * MIB).shortage() is None
    assert DiskSpace(("none",), min_free=80 * MIB).shortage() is None


def test_names_for_files_can_run_out_too(space, disks):
    disks.names = 1500
    assert (space.shortage(), space.deficit()) == (None, Deficit(0, 500))
    disks.names = 999
    assert "names for 999 more files" in space.shortage()
    disks.names = disks.all_names = 0  # made as they are needed
    assert (space.shortage(), space.deficit()) == (None, Deficit(0, 0))


def test_without_a_mark_nothing_is_short(disks):
    disks.free["data"] = 0
    assert DiskSpace(("data",)).shortage(10**15) is None
    assert not DiskSpace(("data",)).deficit()


def test_even_a_tiny_mark_asks_for_room_before_the_disk_is_exhausted(disks):
    disks.free["data"] = MIB
    assert DiskSpace(("data",), min_free=1).deficit() == Deficit(MIB, 0)


class TestReserve:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "jobs.db.reserve"

    @pytest.fixture
    def kept(self, disks, path):
        disks.free["data"] = 1000 * MIB
        kept = DiskSpace(("data",), min_free=80 * MIB, reserve=Reserve(path, RESERVE))
        kept.keep_reserve()
        return kept

    def test_its_blocks_are_really_taken_and_are_nobody_elses_business(self, kept, path):
        assert path.stat().st_blocks * 512 >= RESERVE
        assert path.stat().st_mode & 0o777 == 0o600

    def test_it_goes_when_the_disk_is_full_and_comes_back_when_there_is_room(
        self, kept, disks, path
    ):
        seen = []
        # With 4 MiB more it is no longer exhausted, and must not take them again.
        for free in (2, 0.5, 4.5, 103, 105):
            disks.free["data"] = int(free * MIB)
            kept.keep_reserve()
            seen.append(path.exists())
        assert seen == [True, False, False, False, True]

    def test_until_it_is_back_its_room_is_nobody_elses(self, kept, disks, path):
        disks.free["data"] = 103 * MIB
        assert (kept.shortage(), kept.deficit()) == (None, Deficit(0, 0))
        kept.release_reserve()
        assert kept.deficit() == Deficit(MIB, 0)
        disks.free["data"] = 83 * MIB
        assert kept.shortage()

    def test_it_can_be_given_up_once(self, kept, path):
        assert kept.release_reserve() is True
        assert not path.exists()
        assert kept.release_reserve() is False

    @pytest.mark.parametrize("size", [1, RESERVE // 2, 2 * RESERVE])
    def test_it_takes_the_size_of_its_setting(self, kept, path, size):
        reserve = Reserve(path, size)
        reserve.fill()
        assert path.stat().st_size == size
        assert reserve.missing == 0

    def test_a_part_of_it_is_filled_up(self, kept, disks, path):
        os.truncate(path, 10)
        kept.keep_reserve()
        assert path.stat().st_size == RESERVE

    def test_what_does_not_fit_leaves_nothing_and_is_no_fault(self, disks, path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ci_persistence.space.os.posix_fallocate", full)
        disks.free["data"] = 1000 * MIB
        DiskSpace(("data",), reserve=Reserve(path, RESERVE)).keep_reserve()
        assert not path.exists()

    def test_where_nothing_can_be_allocated_it_is_written(self, path, monkeypatch):
        monkeypatch.delattr("ci_persistence.space.os.posix_fallocate")
        Reserve(path, RESERVE + 1).fill()
        assert path.stat().st_size == RESERVE + 1
        assert len(set(path.read_bytes()[:1000])) > 100

    def test_none_is_wanted(self, disks, path):
        disks.free["data"] = 1000 * MIB
        DiskSpace(("data",), reserve=Reserve(path, 0)).keep_reserve()
        assert not path.exists()
        assert DiskSpace(("data",)).release_reserve() is False
