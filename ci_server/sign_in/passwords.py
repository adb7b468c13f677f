"""Passwords: which ones are taken, and how they are kept.

Hashes are argon2id with the parameters that OWASP recommends. Each takes 19 MiB
and some 20 ms of a core, so only a few are computed at once, in threads, and not
many wait for their turn.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from ci_common.errors import InvalidRequest, RateLimited
from ci_server.sign_in.common_passwords import is_common

if TYPE_CHECKING:
    # Loaded with the first password: a server without accounts does without it.
    from argon2 import PasswordHasher

T = TypeVar("T")

SHORTEST = 12
LONGEST = 128
"""Characters of a password, after normalization."""

AT_ONCE = 2
"""Hashes that are computed at the same time."""

MOST_WAITING = 32
"""Hashes that wait for their turn; about a second's worth. More are refused."""


def owasp_hasher() -> "PasswordHasher":
    """Return what hashes as the Password Storage Cheat Sheet recommends; memory in KiB."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is right; ``rehash``: and should be kept by the parameters of today."""

    right: bool
    rehash: bool = False


class Passwords:
    """Computes and compares hashes for one server process; any number of tasks may ask."""

    def __init__(
        self, hasher: "Callable[[], PasswordHasher]" = owasp_hasher, *, at_once: int = AT_ONCE
    ) -> None:
        self._hasher = cache(hasher)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + MOST_WAITING
        self._asked = 0
        # By the same parameters as what is kept of others, so that it takes the same time.
        self._nobodys = cache(lambda: self._hasher().hash(secrets.token_hex()))

    async def hash(self, password: str) -> str:
        """Return what is kept of a password, with a salt and the parameters in it.

        Raises:
            RateLimited: too many wait already.

        """
        return await self._run(lambda: self._hasher().hash(normalized(password)))

    async def verify(self, kept: str | None, password: str) -> Verdict:
        """Compare a password with what is kept of one, in the same time for any.

        None, where there is no such user or it has no password, is compared as well,
        and never right.

        Raises:
            RateLimited: too many wait already.

        """
        right = await self._run(lambda: self._matches(kept, normalized(password)))
        if kept is None or not right:
            return Verdict(right=False)
        return Verdict(right=True, rehash=self._hasher().check_needs_rehash(kept))

    def close(self) -> None:
        """End the threads. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, kept: str | None, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher().verify(kept or self._nobodys(), password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._asked >= self._most:
            raise RateLimited("too many people sign in at once", hint="Try again.", retry_after=1)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._asked -= 1


def check_password(password: str, name: str) -> None:
    """Return if ``password`` is one that the user ``name`` may choose.

    As NIST SP 800-63B has it: long enough, and not one that everybody tries first;
    which characters it is made of is nobody's business.

    Raises:
        InvalidRequest: it is not; the text says why.

    """
    password = normalized(password)
    if len(password) < SHORTEST:
        raise InvalidRequest(
            f"password: shorter than {SHORTEST} characters",
            hint="A few words that do not belong together are easy to remember.",
        )
    if len(password) > LONGEST:
        raise InvalidRequest(f"password: longer than {LONGEST} characters")
    if is_common(password, name):
        raise InvalidRequest(
            "password: it is among the first that others would try",
            hint="A few words that do not belong together are hard to guess.",
        )


def normalized(password: str) -> str:
    """Return a password as it is hashed, the same from every keyboard."""
    text = unicodedata.normalize("NFKC", password)
    return text.encode("utf-8", "replace").decode()
