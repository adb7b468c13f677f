"""Any split of any bytes gives the same text, and every emitted offset resumes exactly."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_server.chunker import decode_chunk, unfinished

# Bytes that break UTF-8 in all its ways are rare in random data.
PIECES = st.sampled_from(
    [b"a", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f",
     b"\xed\xa0\x80", b"\x80", b"\0", b"\r\n"]
)  # fmt: skip
LOGS = st.lists(PIECES, max_size=30).map(b"".join) | st.binary(max_size=60)
SIZES = st.lists(st.integers(min_value=4, max_value=9), min_size=1, max_size=20)


def read_all(log: bytes, sizes: list[int], start: int = 0) -> list[tuple[str, int]]:
    """Read as a stream does: from an offset, in pieces, to the end. Return (text, next offset)."""
    pieces, offset, turn = [], start, 0
    while True:
        size = sizes[turn % len(sizes)]
        data = log[offset : offset + size]
        text, used = decode_chunk(data, final=len(data) < size)
        offset, turn = offset + used, turn + 1
        pieces.append((text, offset))
        if len(data) < size:
            return pieces


@settings(deadline=None)
@given(log=LOGS, sizes=SIZES)
def test_any_split_gives_the_text_of_one_decode(log, sizes):
    pieces = read_all(log, sizes)
    assert "".join(text for text, _ in pieces) == log.decode("utf-8", "replace")
    assert pieces[-1][1] == len(log)


@settings(deadline=None)
@given(log=LOGS, sizes=SIZES, other_sizes=SIZES)
def test_resuming_at_any_offset_gives_exactly_the_rest(log, sizes, other_sizes):
    pieces = read_all(log, sizes)
    for number, (_, offset) in enumerate(pieces, 1):
        rest = "".join(text for text, _ in pieces[number:])
        assert "".join(text for text, _ in read_all(log, other_sizes, offset)) == rest


@settings(deadline=None)
@given(log=LOGS, cut=st.integers(min_value=0, max_value=60))
def test_a_log_that_grows_is_never_decoded_too_early(log, cut):
    seen, grown = log[:cut], log
    early, used = decode_chunk(seen, final=False)
    late, _ = decode_chunk(grown[used:], final=True)
    assert early + late == grown.decode("utf-8", "replace")
    assert len(seen) - used <= 3


def test_a_character_in_parts_is_held_back():
    assert decode_chunk("a€".encode()[:3], final=False) == ("a", 1)
    assert decode_chunk("a€".encode()[:3], final=True) == ("a\ufffd", 3)


def test_unfinished_counts_what_begins_a_character():
    assert unfinished(b"") == 0
    assert unfinished(b"abc") == 0
    assert unfinished("€".encode()[1:] + "😀".encode()[:3]) == 3
