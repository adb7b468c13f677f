"""The keys that ``ci login`` keeps, wherever each of them is: a file, or the keyring."""

from __future__ import annotations

from ci_client.credentials import IN_KEYRING, Credentials, origin_in

KEYRING = "the keyring"


class KeptKeys:
    """The keys that are kept; ``path`` is the file that says for which servers."""

    def __init__(self, path: str) -> None:
        self._file = Credentials(path)

    def find(self, server_url: str) -> tuple[str, str] | None:
        """Return the key for exactly this server, and where it is; None for none.

        Raises:
            ConfigurationError: it is there and cannot be read, or others can read it.

        """
        kept = self._file.find(server_url)
        if kept is None:
            return None
        if kept != IN_KEYRING:
            return kept, self._file.path
        from ci_client import system_keyring

        return system_keyring.get(origin_in(server_url) or ""), KEYRING

    def keep(self, server_url: str, key: str, *, keyring: bool = True) -> str:
        """Keep a key, with ``keyring`` there if it can be used; return where it is now.

        Raises:
            ConfigurationError: the file cannot be written.

        """
        from ci_client import system_keyring

        origin = origin_in(server_url) or ""
        if keyring and system_keyring.is_usable() and system_keyring.put(origin, key):
            self._file.keep(server_url, IN_KEYRING)
            return KEYRING
        was_there = self._is_in_keyring(server_url)
        self._file.keep(server_url, key)
        if was_there:
            system_keyring.remove(origin)
        return self._file.path

    def keep_again(self, server_url: str, key: str) -> str:
        """Keep a key where the one before it is; return where that is. Raises as ``keep``."""
        return self.keep(server_url, key, keyring=self._is_in_keyring(server_url))

    def forget(self, server_url: str) -> bool:
        """Forget the key of a server; return whether there was one.

        Raises:
            ConfigurationError: the file cannot be read or written.

        """
        from ci_client import system_keyring

        if self._is_in_keyring(server_url):
            system_keyring.remove(origin_in(server_url) or "")
        return self._file.forget(server_url)

    def _is_in_keyring(self, server_url: str) -> bool:
        return self._file.find(server_url, even_if_shared=True) == IN_KEYRING
