"""The keys that tokens are signed with: when there has to be a new one, and which are good."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from ci_common.clock import Clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

ALGORITHM = "EdDSA"
"""The only one, with Ed25519. What a token's header asks for does not matter."""

ROTATED_AFTER = timedelta(days=30)
"""A key that is older gets a successor."""

LEAD = timedelta(hours=1)
"""So long a successor is published before it signs: who keeps our keys in a cache knows it then."""

_LOOKED_AT_EVERY = timedelta(minutes=1)
_AT_MOST_EVERY = timedelta(seconds=1)
"""The folder is looked at, however many tokens name keys that nobody knows."""

_NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
_MOMENT = "%Y%m%dT%H%M%SZ"


class KeyFiles(Protocol):
    """Where keys are kept, by name, as PEM. Everything blocks, and may raise ``OSError``."""

    def all(self) -> Mapping[str, bytes]:
        """Return the keys that are there."""
        ...

    def add(self, name: str, pem: bytes) -> None:
        """Keep a key, durably."""
        ...

    def remove(self, name: str) -> None:
        """Delete a key, if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What to do with keys, by their names.

    ``signs`` is None when there is none. ``wanted``: make a new one. ``spent`` are
    of no use any more.
    """

    signs: str | None
    wanted: bool
    spent: Sequence[str]


def new_name(now: datetime) -> str:
    """Return the name of a key made ``now``: it is sorted by age, and is its ``kid``."""
    return f"{now:{_MOMENT}}-{secrets.token_hex(4)}"


def plan(names: Sequence[str], now: datetime) -> KeyPlan:
    """Return what is to be done when these keys are there. Others' files do not count."""
    made = sorted((when, name) for name in names if (when := _made_at(name)) is not None)
    if not made:
        return KeyPlan(None, wanted=True, spent=())
    ready = [each for each in made if each[0] + LEAD <= now]
    since, signs = ready[-1] if ready else made[0]
    # Twice: what the one before signed last is over by then, in every process.
    spent = [name for when, name in made if when < since and since + 2 * LEAD <= now]
    return KeyPlan(signs, wanted=made[-1][0] + ROTATED_AFTER <= now, spent=spent)


class SigningKeys:
    """The keys of one server process; other processes share the files."""

    def __init__(self, files: KeyFiles, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._keys: dict[str, Ed25519PrivateKey] = {}
        self._signs = ""
        self._looked: datetime | None = None
        self._looking = asyncio.Lock()

    async def signing(self) -> tuple[str, "Ed25519PrivateKey"]:
        """Return the name of the key to sign with, and the key. Raises ``OSError``."""
        await self._look(_LOOKED_AT_EVERY)
        return self._signs, self._keys[self._signs]

    async def verifying(self, name: str) -> "Ed25519PublicKey | None":
        """Return what to verify with; None: no such key, or not any more. Raises ``OSError``."""
        await self._look(_LOOKED_AT_EVERY if name in self._keys else _AT_MOST_EVERY)
        found = self._keys.get(name)
        return None if found is None else found.public_key()

    async def published(self) -> Sequence[Mapping[str, Any]]:
        """Return the public keys as JWKs (RFC 7517, 8037). Raises ``OSError``."""
        from jwt.algorithms import OKPAlgorithm

        await self._look(_LOOKED_AT_EVERY)
        return [
            OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
            | {"kid": name, "use": "sig", "alg": ALGORITHM}
            for name, key in sorted(self._keys.items())
        ]

    async def _look(self, every: timedelta) -> None:
        async with self._looking:
            now = self._clock.now().wall
            if self._looked is None or not timedelta() <= now - self._looked < every:
                self._keys, self._signs = await asyncio.to_thread(self._load, now)
                self._looked = now

    def _load(self, now: datetime) -> "tuple[dict[str, Ed25519PrivateKey], str]":
        """Have the files be as planned; return the keys, and the name of the one that signs."""
        found = dict(self._files.all())
        todo = plan(list(found), now)
        if todo.wanted:
            name, pem = new_name(now), _new_pem()
            self._files.add(name, pem)
            found[name] = pem
        for name in todo.spent:
            self._files.remove(name)
            del found[name]
        signs = plan(list(found), now).signs
        assert signs is not None  # noqa: S101 -- for the type checker: there is one by now
        return {name: _loaded(pem) for name, pem in found.items() if _made_at(name)}, signs


def _made_at(name: str) -> datetime | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _new_pem() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _loaded(pem: bytes) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, Ed25519PrivateKey)  # noqa: S101 -- we wrote it
    return key
