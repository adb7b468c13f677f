"""What an API key looks like; decision 0042 says why.

``sci_``, 32 random letters and digits (190 bits), and 6 more that are a checksum
of all before. So a key that is mistyped or cut off is known as such without asking
anybody, and who looks for leaked keys finds them by ``KEY_PATTERN`` and nothing else.
"""

from __future__ import annotations

KEY_PREFIX = "sci_"
"""What every API key begins with, so that people and scanners know one when they see it."""

KEY_PATTERN = r"\bsci_[0-9A-Za-z]{38}\b"
"""What finds keys in text; ``is_whole`` tells whether what was found is one."""

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 32
_CHECK = 6
"""Letters that hold any CRC-32: 62 ** 6 is more than 2 ** 32."""
_SHOWN = 4
"""Random letters in a hint: more than 160 bits stay unknown."""


def new_key() -> str:
    """Return a key that nobody has had before."""
    import secrets

    body = KEY_PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_whole(key: str) -> bool:
    """Return whether ``key`` is one as ``new_key`` makes them, letter for letter."""
    body, check = key[:-_CHECK], key[-_CHECK:]
    random = body[len(KEY_PREFIX) :]
    return (
        key.startswith(KEY_PREFIX)
        and len(random) == _RANDOM
        and random.isascii()
        and random.isalnum()
        and check == _checksum(body)
    )


def digest_of(key: str) -> bytes:
    """Return the SHA-256 by which a server knows ``key``."""
    import hashlib

    return hashlib.sha256(key.encode()).digest()


def hint_of(key: str) -> str:
    """Return the beginning of a key: enough to tell it from others, and too little to use."""
    return key[: len(KEY_PREFIX) + _SHOWN]


def _checksum(body: str) -> str:
    import zlib

    number, letters = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, letter = divmod(number, len(_LETTERS))
        letters = _LETTERS[letter] + letters
    return letters
