"""What of a job's output reaches a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client.escapes import OutputFilter


def shown(*pieces: bytes) -> bytes:
    filtered = OutputFilter()
    return b"".join(filtered.clean(piece) for piece in pieces)


@pytest.mark.parametrize(
    "harmless",
    [
        b"plain\ttext\r\n",
        b"\x1b[31mred\x1b[0m \x1b[1;38;2;1;2;3mtrue colour\x1b[m",
        b"\x1b[38:5:196mcolons",
        b"10%\r20%\x1b[K\r100%\x1b[2K\b\n",
        "naïve — ÄÖÜ £ 日本".encode(),
        "¡¢\xa0©".encode(),  # they begin as the C1 controls do
        b"broken \xff\xc2 utf-8\n",
    ],
)
def test_text_colours_and_progress_are_shown_as_they_are(harmless: bytes) -> None:
    assert shown(harmless) == harmless
    assert shown(*(harmless[at : at + 1] for at in range(len(harmless)))) == harmless


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b]0;title\x07",
        b"\x1b]52;c;cm0gLXJmIH4=\x07",  # the clipboard
        b"\x1b]52;c;cm0gLXJmIH4=\x1b\\",
        b"\x1b]8;;https://evil.example\x1b\\",
        b'\x1bP$q"p\x1b\\',  # asks for an answer that arrives as if it were typed
        b"\x1b_private\x1b\\",
        b"\x1b^private\x1b\\",
        b"\x1bXprivate\x1b\\",
        b"\x1b[6n",
        b"\x1b[c",
        b"\x1b[2J\x1b[H",
        b"\x1b[1A\x1b[2A",
        b"\x1b[?1049h",
        b"\x1b[3J",
        b"\x1b[21t",
        b"\x1b[0 q",
        b"\x1bc",
        b"\x1b(0",
        b"\x1b#8",
        b"\x07\x05\x0e\x0f\x00\x7f",
        b"\xc2\x9b6n",
        b"\xc2\x9d0;title\xc2\x9c",
        b"\x1b]0;" + b"long " * 1000 + b"\x07",
        b"\x1b[" + b"1;" * 1000 + b"A",
    ],
)
def test_nothing_else_reaches_the_terminal(hostile: bytes) -> None:
    assert shown(b"before " + hostile + b"after\n") == b"before after\n"
    whole = b"before " + hostile + b"after\n"
    assert shown(*(whole[at : at + 1] for at in range(len(whole)))) == b"before after\n"


def test_a_string_without_an_end_hides_no_more_than_its_line() -> None:
    assert shown(b"a\x1b]0;never ended\nnext line\n") == b"a\nnext line\n"
    assert shown(b"a\x1b]0;", b"never ended", b"\nnext line\n") == b"a\nnext line\n"


def test_an_escape_at_the_very_end_waits() -> None:
    assert shown(b"text\x1b") == b"text"
    assert shown(b"text\x1b", b"[31mred") == b"text\x1b[31mred"


_bits = st.lists(
    st.sampled_from(
        [b"\x1b", b"[", b"]", b"0;", b"m", b"A", b"\x07", b"\\", b"\n", b"\xc2", b"\x9b"]
    ),
    max_size=30,
)


@given(_bits)
def test_no_cut_lets_more_through(bits: list[bytes]) -> None:
    whole, cut = shown(b"".join(bits) + b"\n"), shown(*bits, b"\n")
    for output in (whole, cut):
        for at, byte in enumerate(output):
            if byte == 0x1B:
                rest = output[at + 1 :]
                assert rest.startswith(b"[")
                end = rest[1:].lstrip(b"0123456789;:")[:1]
                assert end in {b"m", b"K"}
