"""A server's address is taken apart as the standard library does it, with it or without."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client import address
from ci_client.address import Address, address_of, read_address

names = st.text(st.sampled_from("aZ09.-_:@[]%/?# "), max_size=12)


def parts(found: Address) -> dict[str, object]:
    return vars(found)


@given(st.sampled_from(["", "http://", "https://", "HTTP://"]), names, names)
def test_the_short_way_says_what_the_long_one_says(scheme: str, host: str, port: str) -> None:
    text = f"{scheme}{host}:{port}"
    short = address._plain(text)
    if short is not None:
        assert parts(short) == parts(address._taken_apart(text))


@pytest.mark.parametrize("text", ["http://localhost:8000", "127.0.0.1:1/", "CI.example:65535"])
def test_the_usual_goes_the_short_way(text: str) -> None:
    assert address._plain(text) is not None


@pytest.mark.parametrize(
    "text",
    ["http://ci:65536", "http://ci", "http://ci:80/x", "https://ci:1", "ci:²", "é:1", "_:1"],
)
def test_all_else_goes_the_long_way(text: str) -> None:
    assert address._plain(text) is None


def test_all_that_an_address_can_hold() -> None:
    found = read_address("https://me:s%40cret@[::1]:8443/prefix/")
    assert parts(found) == {
        "scheme": "https",
        "host": "::1",
        "port": 8443,
        "path": "/prefix",
        "user": "me",
        "password": "s@cret",
        "netloc": "[::1]:8443",
    }
    assert found.url == "https://[::1]:8443/prefix"


def test_what_is_not_said_has_its_default() -> None:
    found = read_address("https://ci.example")
    assert (found.port, found.netloc, found.user) == (443, "ci.example", None)


def test_a_name_in_other_letters_is_what_the_net_knows_it_by() -> None:
    assert address_of(urlsplit("http://bücher.example")).host == "xn--bcher-kva.example"
