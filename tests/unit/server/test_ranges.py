import pytest

from ci_common.errors import RangeNotSatisfiable
from ci_server.ranges import resolve_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-5", range(2, 6)),
        ("bytes=2-", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-30", range(10)),
        ("bytes=8-99", range(8, 10)),
        ("Bytes = 1 - 2 ", range(1, 3)),
    ],
)
def test_one_range(header, expected):
    assert resolve_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b",
     "bytes=1-" + "9" * 30],
)  # fmt: skip
def test_what_is_no_range_is_ignored(header):
    assert resolve_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=11-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_of_nothing_is_refused(header, size):
    with pytest.raises(RangeNotSatisfiable, match=f"{size} bytes"):
        resolve_range(header, size)
