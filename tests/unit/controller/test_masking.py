"""Masking output: the same whatever pieces it comes in, and no longer or shorter than before."""

import base64
import json
import shlex
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ci_common.job_secrets import SHORTEST_VALUE
from ci_controller.masking import MaskingSink, Masks

TOKEN = "s3cret'token\"+/é"

LETTERS = "ab\n"
"""So few that secrets overlap with each other, with themselves, and with beginnings of others."""

values = st.lists(
    st.text(LETTERS, min_size=SHORTEST_VALUE, max_size=14).filter(
        lambda text: len(text.strip()) >= SHORTEST_VALUE
    ),
    min_size=1,
    max_size=3,
)


def written(masks: Masks, pieces: list[bytes]) -> list[bytes]:
    out: list[bytes] = []
    sink = MaskingSink(out.append, masks)
    for piece in pieces:
        sink(piece)
    sink.flush()
    return out


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(marks)]


def by_hand(texts: list[bytes], data: bytes) -> bytes:
    """What is to be masked, found in the most simple way."""
    hidden = set()
    for text in texts:
        for begin in range(len(data) - len(text) + 1):
            if data[begin : begin + len(text)] == text:
                hidden.update(range(begin, begin + len(text)))
    return bytes(
        ord("*") if place in hidden and byte != ord("\n") else byte
        for place, byte in enumerate(data)
    )


@given(values, st.text(LETTERS, max_size=60), st.lists(st.integers(min_value=0)), st.data())
@example(["abababab"], "abababababab" + "a" * 9, [9, 10, 11], None)
def test_output_in_any_pieces_is_masked_as_the_whole_is(secrets, noise, places, draw):
    around = draw.draw(st.permutations([*secrets, noise])) if draw else [*secrets, noise]
    data = "".join(around).encode()
    masks = Masks(secrets)
    whole = masks.masked(data)
    assert len(whole) == len(data)
    assert whole.count(b"\n") == data.count(b"\n")
    assert b"".join(written(masks, cut(data, places))) == whole
    texts = {line for value in secrets for line in (value.strip(), *value.strip().split("\n"))}
    expected = by_hand([text.encode() for text in texts if len(text) >= SHORTEST_VALUE], data)
    # Other forms of such values (newlines escaped, base64) are not among these letters.
    assert whole == expected


@given(values, st.text(LETTERS, max_size=80), st.integers(min_value=0))
def test_output_that_is_masked_from_the_middle_on_comes_out_the_same(secrets, noise, place):
    data = (noise + secrets[0] + noise).encode()
    masks = Masks(secrets)
    place %= len(data)
    before = min(place, masks.reach)
    again = b"".join(written(masks, [data[place - before :]]))[before:]
    assert again == masks.masked(data)[place:]


@pytest.mark.parametrize(
    "form",
    [
        TOKEN,
        json.dumps(TOKEN),
        json.dumps(TOKEN, ensure_ascii=False),
        repr(TOKEN),
        quote(TOKEN, safe=""),
        shlex.quote(TOKEN),
        "'" + TOKEN.replace("'", r"'\''") + "'",
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(TOKEN.encode() + b"\n").decode(),
        base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    ],
)
def test_a_value_is_masked_however_it_is_written(form):
    masks = Masks([f"  {TOKEN}\n"])
    masked = masks.masked(f"<{form}>".encode())
    assert set(masked.strip(b"<>'\"=")) == {ord("*")}, masked


def test_each_line_of_a_value_is_masked_where_it_stands_alone_and_short_ones_with_the_rest():
    value = "-----BEGIN-----\n  c29tZXRoaW5n\nx=\n-----END-----"
    masks = Masks([value])
    assert masks.text("see c29tZXRoaW5n there") == "see ************ there"
    assert masks.text("x=1") == "x=1"
    assert set(masks.text(value)) == {"*", "\n"}


def test_of_two_values_of_which_one_begins_the_other_both_are_masked():
    masks = Masks(["password", "password-of-all"])
    assert masks.text("password-of-none password-of-all") == "********-of-none ***************"
    assert b"".join(written(masks, [b"password", b"-of-", b"x"])) == b"********-of-x"


def test_what_no_secret_begins_with_is_passed_on_at_once():
    out: list[bytes] = []
    sink = MaskingSink(out.append, Masks(["hunter2-horse!?"]))
    for piece in (b"Continue? [y/N] ", b"line\n", b"hunt", b"ing ", b"h", b"unter2-horse!?", b"!"):
        sink(piece)
    # A beginning waits until it is none; nothing else does.
    assert out == [b"Continue? [y/N] ", b"line\n", b"hunting ", b"***************", b"!"]


def test_no_more_is_held_back_than_a_secret_is_long():
    secret = "a" * 5_000 + "b"
    out: list[bytes] = []
    masks = Masks([secret])
    sink = MaskingSink(out.append, masks)
    for _ in range(20):
        sink(b"a" * 1_000)
    assert 20_000 - sum(map(len, out)) <= masks.reach


def test_text_without_a_secret_is_left_as_it_is_even_if_it_cannot_be_encoded():
    assert Masks([TOKEN]).text("\ud800 and more") == "\ud800 and more"
    assert not Masks()
