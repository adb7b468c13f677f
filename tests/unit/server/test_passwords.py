import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from ci_common.errors import InvalidRequest, RateLimited
from ci_server.sign_in.passwords import (
    LONGEST,
    MOST_WAITING,
    Passwords,
    check_password,
    owasp_hasher,
)

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "velvet otter umbrella"


@pytest.fixture
def passwords():
    made = Passwords(lambda: CHEAP)
    yield made
    made.close()


def test_what_is_kept_is_as_owasp_recommends() -> None:
    kept = owasp_hasher().hash(GOOD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_password_is_right_only_if_it_is_the_same(passwords) -> None:
    kept = await passwords.hash(GOOD)
    assert GOOD not in kept
    assert kept != await passwords.hash(GOOD)  # a salt of its own
    assert (await passwords.verify(kept, GOOD)).right
    assert not (await passwords.verify(kept, GOOD + " ")).right
    assert not (await passwords.verify(kept, "")).right


async def test_nobody_has_the_password_of_nobody(passwords) -> None:
    for password in ("", GOOD):
        assert not (await passwords.verify(None, password)).right


async def test_what_is_no_hash_is_no_password(passwords) -> None:
    assert not (await passwords.verify("!", GOOD)).right


async def test_nobodys_password_is_compared_as_anybodys() -> None:
    compared = []

    class Counting(PasswordHasher):
        def verify(self, kept, password):
            compared.append(kept)
            return super().verify(kept, password)

    passwords = Passwords(lambda: Counting(time_cost=1, memory_cost=8, parallelism=1))
    await passwords.verify(None, GOOD)
    await passwords.verify(await passwords.hash(GOOD), GOOD)
    passwords.close()
    assert len(compared) == 2


async def test_a_password_kept_by_old_parameters_is_to_be_hashed_anew(passwords) -> None:
    newer = Passwords(lambda: PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    kept = await passwords.hash(GOOD)
    assert not (await passwords.verify(kept, GOOD)).rehash
    assert (await newer.verify(kept, GOOD)).rehash
    assert not (await newer.verify(kept, "something else")).rehash
    newer.close()


async def test_every_keyboard_writes_the_same_password(passwords) -> None:
    kept = await passwords.hash("cafe\u0301 au lait \ufb01n")
    assert (await passwords.verify(kept, "caf\u00e9 au lait fin")).right
    assert not (await passwords.verify(await passwords.hash("\udcff" * 12), GOOD)).right


async def test_only_so_many_are_computed_at_once_and_not_many_wait() -> None:
    running, most, gate, lock = 0, 0, threading.Event(), threading.Lock()

    class Slow(PasswordHasher):
        def verify(self, kept, password):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            gate.wait(30)
            with lock:
                running -= 1
            return True

    passwords = Passwords(lambda: Slow(time_cost=1, memory_cost=8, parallelism=1), at_once=2)
    kept = CHEAP.hash(GOOD)
    waiting = [asyncio.create_task(passwords.verify(kept, GOOD)) for _ in range(2 + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await passwords.verify(kept, GOOD)
    gate.set()
    assert all(verdict.right for verdict in await asyncio.gather(*waiting))
    assert most == 2
    assert (await passwords.verify(kept, GOOD)).right
    passwords.close()


@pytest.mark.parametrize(
    "password",
    [
        "short passw",
        "x" * (LONGEST + 1),
        "aaaaaaaaaaaaaa",
        "abababababab",
        "123456789012",
        "210987654321",
        "qwertyuiop[]",
        "1q2w3e4r5t6y",
        "Password1234",
        "P@ssw0rd2026",
        "Welcome2026!!",
        "passwordpassword",
        "standby-ci-2026",
        "ada.lovelace",
        "AdaLovelace99",
        "\ufb01" * 3,
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^password: "):
        check_password(password, "Ada.Lovelace")


@pytest.mark.parametrize(
    "password",
    [GOOD, "k" * 3 + "ullerbytta42", "пароль-и-ещё-что-то", "mötley 🦦 otters", "w8Zq!tR2#mVx"],
)
def test_any_characters_make_a_password(password: str) -> None:
    check_password(password, "ada")
    check_password(password + "9" * (LONGEST - len(password)), "ada")
