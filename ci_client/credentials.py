"""The keys that ``ci login`` keeps, each for one server.

The file ``credentials`` beside the user's own settings has a line for each
server: its address, and the key, or the word ``keyring`` where the operating
system's keyring has it. It is read without any library, since ``ci submit`` does.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from ci_client.address import read_address
from ci_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ci_client.address import Address

IN_KEYRING = "keyring"
"""What stands in the file in place of a key that the keyring has."""

_HEADER = "# Written by `ci login`. Whoever reads this file can do what its keys can do.\n"
_OTHERS = 0o077
_ONLY_OWN = 0o600


def origin_of(address: Address) -> str:
    """Return what a key is kept for: scheme, host and port, and nothing else of an address."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host.lower()}:{address.port}"


def origin_in(server_url: str) -> str | None:
    """Return the origin that an address names; None if it is no address."""
    try:
        return origin_of(read_address(server_url.strip()))
    except ValueError:
        return None


class Credentials:
    """The keys in the file at ``path``, existing or not."""

    def __init__(self, path: str) -> None:
        self.path = path

    def find(self, server_url: str, *, even_if_shared: bool = False) -> str | None:
        """Return the key kept for exactly this server, or ``IN_KEYRING``; None for none.

        Raises:
            ConfigurationError: the file cannot be read; or others than its owner
                can read it too, unless that is all the same.

        """
        kept, shared = self._read()
        if not kept:
            return None
        found = kept.get(origin_in(server_url) or "")
        if found is not None and shared and not even_if_shared:
            raise _not_ours_alone(self.path)
        return found

    def keep(self, server_url: str, key: str) -> None:
        """Keep a key (or ``IN_KEYRING``) for a server, in place of one that was.

        The file is replaced as a whole, is never seen half written, and is for
        its owner alone, whatever it was before.

        Raises:
            ConfigurationError: it cannot be written, or the address is none.

        """
        origin = origin_in(server_url)
        if origin is None:
            raise ConfigurationError(f"{server_url!r} is not a server's address")
        self._change(origin, key)

    def forget(self, server_url: str) -> bool:
        """Forget the key of a server; return whether there was one.

        Raises:
            ConfigurationError: the file cannot be read or written.

        """
        origin = origin_in(server_url)
        if origin is None or origin not in self._read()[0]:
            return False
        self._change(origin, None)
        return True

    def _change(self, origin: str, key: str | None) -> None:
        # A link to where somebody keeps such files stays a link.
        path = os.path.realpath(self.path)
        folder = os.path.dirname(path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with _locked(folder):
                kept, _shared = self._read()
                kept.pop(origin, None)
                if key is not None:
                    kept[origin] = key
                lines = [f"{address} {each}\n" for address, each in sorted(kept.items())]
                _replace(path, "".join([_HEADER, *lines]))
        except OSError as error:
            raise _unusable(self.path, "written", error) from error

    def _read(self) -> tuple[dict[str, str], bool]:
        """Return the keys by origin, and whether others than the owner can read the file."""
        try:
            with open(self.path, "rb") as file:
                return _parsed(file), bool(os.fstat(file.fileno()).st_mode & _OTHERS)
        except (FileNotFoundError, NotADirectoryError):
            return {}, False
        except (OSError, ValueError) as error:
            raise _unusable(self.path, "read", error) from error


def _parsed(file: BinaryIO) -> dict[str, str]:
    kept = {}
    for line in file.read().decode("ascii").splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            origin, key = words  # ValueError: somebody has written something else into it
            kept[origin] = key
    return kept


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other processes from changing the file, and make the change last."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: str, text: str) -> None:
    beside = f"{path}.new"
    with suppress(FileNotFoundError):  # a process that was killed has left it
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWN)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _unusable(path: str, what: str, error: Exception) -> ConfigurationError:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is damaged"
    return ConfigurationError(
        f"{path} cannot be {what}: {reason}",
        hint="`ci login` keeps keys there. Correct it, or delete it and sign in again.",
    )


def _not_ours_alone(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} has keys in it, and others can read it",
        hint=f"Have it to yourself: chmod 600 {path}; then replace the keys: ci key rotate --save",
    )
