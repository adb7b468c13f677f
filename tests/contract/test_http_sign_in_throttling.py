"""Guessing passwords gets slow, for who guesses and not for who is guessed."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.contract.http_harness import RunningServer, running_server
from tests.contract.sign_in_people import PASSWORD, People
from tests.fakes.clock import FakeClock


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("throttling")
    settings = {"accounts": "on", "trusted_proxies": "127.0.0.1", "rate_limit_failures": "0"}
    with running_server(folder, **settings) as running:
        People(running).add("root", server_admin=True)
        # It stands still, however long the machine takes.
        object.__setattr__(running.parts.sign_in, "clock", FakeClock())
        yield running


def attempt(server: RunningServer, name: str, password: str, address: str) -> httpx2.Response:
    headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
    asked = {"name": name, "password": password}
    return httpx2.post(server.url + "/api/v1/sign-in", json=asked, headers=headers, timeout=30)


def guesses(server: RunningServer, name: str, address: str, count: int) -> list[httpx2.Response]:
    return [attempt(server, name, f"guess {n}", address) for n in range(count)]


def test_who_guesses_has_to_wait_and_is_told_so_whoever_there_is(server) -> None:
    People(server).add("ada")
    for name, address in (("ada", "192.0.2.1"), ("nobody-at-all", "192.0.2.2")):
        answers = guesses(server, name, address, 12)
        statuses = [answer.status_code for answer in answers]
        assert statuses == [401] * 6 + [429] * 6
        assert answers[-1].headers["retry-after"] == "1"
        # The right one as well: that it is right must not be told then.
        assert attempt(server, name, PASSWORD, address).status_code == 429
    # From elsewhere it is taken.
    assert attempt(server, "ada", PASSWORD, "192.0.2.3").status_code == 200


def test_five_wrong_ones_do_not_keep_the_right_one_out(server) -> None:
    People(server).add("grace")
    for _ in range(4):
        assert {each.status_code for each in guesses(server, "grace", "192.0.2.10", 4)} == {401}
        assert attempt(server, "grace", PASSWORD, "192.0.2.10").status_code == 200


def test_many_who_guess_one_name_do_not_lock_its_owner_out(server) -> None:
    People(server).add("linus")
    assert attempt(server, "linus", PASSWORD, "198.51.100.7").status_code == 200
    for number in range(24):
        attempt(server, "linus", "guess", f"203.0.113.{number}")
    # Strangers wait now, wherever they are; not so where linus has been before.
    assert attempt(server, "linus", PASSWORD, "203.0.113.200").status_code == 429
    assert attempt(server, "linus", PASSWORD, "198.51.100.7").status_code == 200


def test_who_tries_many_names_waits_at_all_of_them(server) -> None:
    People(server).add("jean")
    statuses = [
        attempt(server, f"name-{number}", "Spring is here 2026", "2001:db8::1").status_code
        for number in range(26)
    ]
    assert statuses == [401] * 21 + [429] * 5
    # All of a customer's IPv6 addresses are one place.
    assert attempt(server, "jean", PASSWORD, "2001:db8::2:3").status_code == 429
    assert attempt(server, "jean", PASSWORD, "2001:db8:1::1").status_code == 200


def test_what_somebody_typed_as_a_name_is_not_kept(server) -> None:
    attempt(server, "a-password-typed-as-name", "x", "192.0.2.77")
    database = server.settings.db_path
    stored = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert b"a-password-typed-as-name" not in stored
