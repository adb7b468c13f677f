"""The key that secrets are encrypted with: in a file, and never in the database.

A line of the file is a key: its id, and 32 bytes in base64. The last one seals; those
before it open what a rotation has not come to yet. The file is read each time, so
that a rotation by another process needs no word to this one. Whoever seals reads it
inside the transaction that writes what was sealed: a rotation adds its key first and
seals anew in one transaction, so that nothing sealed with the old key comes after it.
"""

import base64
import binascii
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ci_common.errors import SecretsUnreadable
from ci_persistence.disk import ensure_folder, fsync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key. ``id`` tells it from others and says nothing of it."""

    id: str
    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "SecretKey":
        """Return a fresh key."""
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_bytes(_KEY_BYTES))

    def seal(self, value: bytes, place: bytes) -> bytes:
        """Encrypt ``value`` so that it opens with the same ``place`` only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + _cipher(self.key).encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt what was sealed for ``place``. Raises ``ValueError`` if it was not."""
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return _cipher(self.key).decrypt(nonce, rest, place)
        except InvalidTag:
            raise ValueError("not sealed with this key for this place") from None


class SecretKeys:
    """The keys in the file ``path``, whose folder is made with it. Calls are short and block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Sequence[SecretKey]:
        """Return the keys, the one that seals last; none if there is no file.

        Raises:
            SecretsUnreadable: the file cannot be read, or is none of keys.

        """
        try:
            lines = self.path.read_text("ascii").splitlines()
            return [_parsed(line) for line in lines if line.strip()]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            # Without what the file holds, which an error of another kind might quote.
            why = error.strerror if isinstance(error, OSError) else "it is no file of keys"
            raise SecretsUnreadable(
                f"the key of the secrets cannot be read from {self.path}: {why}",
                hint="Put back the file that was there, from where you keep a copy of it.",
            ) from None

    def to_seal(self, *, begin: bool) -> SecretKey:
        """Return the key to seal with; ``begin`` makes the first one where there is none.

        Raises:
            SecretsUnreadable: it is missing, or cannot be read or made.

        """
        keys = self.read()
        if not keys:
            if not begin:
                raise self._missing()
            keys = [SecretKey.new()]
            self.write(keys)
        return keys[-1]

    def open(self, key_id: str, sealed: bytes, place: bytes) -> bytes:
        """Decrypt what the key with this id sealed for ``place``.

        Raises:
            SecretsUnreadable: the key is missing, or it is not what was sealed for it there.

        """
        keys = self.read()
        if not keys:
            raise self._missing()
        key = next((each for each in keys if each.id == key_id), None)
        if key is None:
            raise SecretsUnreadable(
                f"the key {key_id} that secrets are sealed with is not in {self.path}",
                hint="Put the file back that has it; or set the secrets again: ci secret set.",
            )
        try:
            return key.open(sealed, place)
        except ValueError:
            raise SecretsUnreadable(
                "a secret was changed in the database, or moved within it, and does not open",
                hint="`ci admin check` says which; set it again: ci secret set.",
            ) from None

    def write(self, keys: Sequence[SecretKey]) -> None:
        """Have these keys in the file, durably, and only for its owner.

        Raises:
            SecretsUnreadable: it cannot be written; the file is as it was.

        """
        text = "".join(f"{each.id} {base64.b64encode(each.key).decode()}\n" for each in keys)
        try:
            ensure_folder(self.path.parent)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
            try:
                with os.fdopen(handle, "w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            finally:
                Path(name).unlink(missing_ok=True)
            fsync_folder(self.path.parent)
        except OSError as error:
            raise SecretsUnreadable(
                f"the key of the secrets cannot be written to {self.path}: {error.strerror}",
                hint="Make its folder one that the server may write to (secrets_key_file).",
            ) from error

    def _missing(self) -> SecretsUnreadable:
        return SecretsUnreadable(
            f"there are secrets, but not their key: {self.path} is not there",
            hint="Put the file back from where you keep a copy; or set the secrets again.",
        )


def _cipher(key: bytes) -> "AESGCM":
    # Loaded with the first secret: most servers have none.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _parsed(line: str) -> SecretKey:
    key_id, _, encoded = line.strip().partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not key_id or len(key) != _KEY_BYTES:
        raise ValueError
    return SecretKey(key_id, key)
