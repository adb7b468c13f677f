"""What API keys look like."""

import re
import zlib

import pytest

from ci_common.api_keys import KEY_PATTERN, digest_of, hint_of, is_whole, new_key

KEY = "sci_0123456789ABCDEFGHIJKLMNOPQRSTUV2gp2mL"
"""Its end is the CRC-32 of the rest in base 62, worked out apart from the code."""

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 62 + LETTERS.index(letter)
    return number


def test_a_new_key_is_whole_and_found_in_text() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(is_whole(key) for key in keys)
    text = "\n".join(f'token = "{key}"; curl -H "Bearer {key}"' for key in keys)
    assert set(re.findall(KEY_PATTERN, text)) == keys
    # Every letter is as likely as any other: none is missing in so many.
    assert set("".join(key[4:36] for key in keys)) == set(LETTERS)


def test_the_checksum_is_the_one_that_is_documented() -> None:
    key = new_key()
    assert base62(key[-6:]) == zlib.crc32(key[:-6].encode())


def test_the_form_stays_as_it_is() -> None:
    """Keys that were made years ago are to be recognised."""
    assert is_whole(KEY)


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "sci_",
        KEY[:-1],
        KEY[:-6],
        KEY + "0",
        KEY[1:],
        KEY.lower(),
        KEY.replace("sci_", "sci-"),
        KEY.replace("01", "10"),
        KEY[:-1] + "M",
        KEY[:10] + "O" + KEY[11:],
        KEY.replace("0123", "\u0660123"),
        f" {KEY}",
        f"{KEY}\n",
        "sci_" + "0" * 38,
    ],
)
def test_what_is_mistyped_or_cut_off_is_not_whole(spoilt: str) -> None:
    assert not is_whole(spoilt)


def test_a_hint_leaves_more_than_160_bits_unknown() -> None:
    key = new_key()
    hint = hint_of(key)
    assert key.startswith(hint)
    assert len(hint) == 8
    unknown = len(key) - 6 - len(hint)
    assert 62**unknown > 2**160


def test_the_digest_is_the_sha256_of_all_of_it() -> None:
    shown = "518f6f2b37ee7a557d78b8b99eefca1615e37a0644101202dc542ba277b76225"
    assert digest_of("sci_x").hex() == shown
