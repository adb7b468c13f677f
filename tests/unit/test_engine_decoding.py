"""The engine's coding of output: the same bytes come out wherever the stream is cut."""

import struct
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ci_controller.docker_engine.frames import STDERR, ChunkDecoder, FrameDecoder
from ci_controller.docker_engine.log_lines import LogDecoder


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    for start, stop in pairwise(marks):
        yield data[start:stop]


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


CUTS = st.lists(st.integers(min_value=0), max_size=20)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), CUTS)
def test_frames_give_back_each_stream(frames, places):
    stream = b"".join(frame(*each) for each in frames)
    for wanted in (1, STDERR):
        decoder = FrameDecoder(wanted)
        decoded = b"".join(decoder.decode(piece) for piece in cut(stream, places))
        assert decoded == b"".join(data for kind, data in frames if kind == wanted)


@given(st.lists(st.binary(min_size=1, max_size=300)), CUTS)
def test_chunks_give_back_the_body(chunks, places):
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    decoder = ChunkDecoder()
    assert b"".join(decoder.decode(piece) for piece in cut(coded, places)) == b"".join(chunks)
    assert decoder.ended


def logged(output: bytes, *, keeps_newlines: bool) -> bytes:
    """Return the log that an engine makes of ``output``; old ones lose newlines of long lines."""
    frames = []
    for number, line in enumerate(output.splitlines(keepends=True)):
        stamp = b"2026-01-01T00:00:00.%09dZ " % number
        text, newline = line.removesuffix(b"\n"), line.endswith(b"\n")
        full = [text[at : at + 16384] for at in range(0, len(text) - 16383, 16384)]
        rest = text[len(full) * 16384 :]
        frames += [frame(1, stamp + piece) for piece in full]
        if rest or newline:
            kept = b"\n" if newline and (keeps_newlines or not full) else b""
            frames.append(frame(1, stamp + rest + kept))
    return b"".join(frames)


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"")),
        st.sampled_from([b"x" * size for size in (16383, 16384, 16385, 32768, 40_000)]),
    ),
    max_size=8,
)


@given(LINES, st.booleans(), st.booleans(), CUTS)
def test_a_log_gives_back_what_was_written(lines, ends_with_newline, keeps_newlines, places):
    output = b"\n".join(lines) + (b"\n" if ends_with_newline else b"")
    decoder = LogDecoder()
    log = logged(output, keeps_newlines=keeps_newlines)
    decoded = b"".join(decoder.decode(piece) for piece in cut(log, places))
    last_line = output.splitlines()[-1] if output else b""
    if output.endswith(b"\n") and len(last_line) >= 16384 and not keeps_newlines:
        # The one newline that nobody can tell of; nothing is made up.
        output = output.removesuffix(b"\n")
    assert len(decoded) == len(output)
    assert (decoded == output) is True  # without pages of difference
