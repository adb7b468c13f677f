"""What a server can be asked for about API keys, and who one is for it."""

from typing import Any
from urllib.parse import quote, urlencode

from ci_client.session import Session

KeyDict = dict[str, Any]
"""A key, or who one is, as ``ci_common.api`` has them."""


class KeyCalls:
    """The calls, through a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def whoami(self) -> KeyDict:
        """Return who one is."""
        return self._object("GET", "/whoami")

    def all(self, user: str | None = None, *, ended: bool = False) -> list[KeyDict]:
        """Return one's own keys, or those of a user; also those that have ended."""
        asked = {"user": user, "ended": "true" if ended else None}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found: list[KeyDict] = self._session.manage("GET", f"/keys?{query}".rstrip("?"))
        return found

    def make(self, asked: KeyDict) -> KeyDict:
        """Make a key; return it whole."""
        return self._object("POST", "/keys", asked)

    def rotate(self, key_id: str, asked: KeyDict) -> KeyDict:
        """Replace a key; return the new one whole."""
        return self._object("POST", _path(key_id) + "/rotate", asked)

    def revoke(self, key_id: str) -> KeyDict:
        """End a key for good; return it."""
        return self._object("DELETE", _path(key_id))

    def revoke_current(self) -> KeyDict:
        """End the key that the session shows; return it."""
        return self._object("DELETE", "/keys/current")

    def _object(self, method: str, path: str, document: object = None) -> KeyDict:
        found: KeyDict = self._session.manage(method, path, document)
        return found


def _path(key_id: str) -> str:
    return f"/keys/{quote(key_id, safe='')}"
