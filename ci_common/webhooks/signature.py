"""Signing as Standard Webhooks has it: HMAC-SHA256 over id, time and body."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_NEW_BYTES = 32
_FEWEST_BYTES, _MOST_BYTES = 24, 64


def new_secret() -> str:
    """Return a secret that nobody knows."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def read_secret(text: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: it is none; the text does not repeat it.

    """
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(
            f"a secret is {_PREFIX} and {_FEWEST_BYTES} to {_MOST_BYTES} bytes in base64;"
            " leave it out and the server makes one"
        )
    return key


def signature(message_id: str, timestamp: int, body: bytes, keys: Sequence[str]) -> str:
    """Return the header ``webhook-signature``: one signature for each of the secrets.

    ``timestamp``: seconds since 1970.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_sign(read_secret(key), signed)}" for key in keys)


def _sign(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
