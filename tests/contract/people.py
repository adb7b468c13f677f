"""People for a running server: users with roles in organisations, and keys of theirs."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from ci_common.access import ALL_SCOPES, Role, Scope
from ci_common.accounts import ApiKey, Organisation, User
from ci_common.api_keys import digest_of, hint_of, new_key
from ci_common.clock import SystemClock
from tests.contract.http_harness import RunningServer


class People:
    """Makes them in the server's own store; ids are made of the names."""

    def __init__(self, running: RunningServer) -> None:
        self._running = running

    @property
    def _accounts(self):
        return self._running.parts.accounts

    def organisation(self, name: str) -> str:
        """Add an organisation; return its id."""
        added = Organisation(id=f"org_{name}", name=name, created_at=now())
        self._running.call(self._accounts.add_organisation(added))
        return added.id

    def user(
        self, name: str, roles: Mapping[str, Role] | None = None, *, server_admin: bool = False
    ) -> str:
        """Add a user with roles by the organisations' names; return its id."""
        by_id = {f"org_{organisation}": role for organisation, role in (roles or {}).items()}
        added = User(
            id=f"usr_{name}", name=name, created_at=now(), server_admin=server_admin, roles=by_id
        )
        self._running.call(self._accounts.add_user(added))
        return added.id

    def key(
        self,
        user: str,
        *,
        scopes: Iterable[Scope] = ALL_SCOPES,
        organisation: str | None = None,
        expires_at: datetime | None = None,
    ) -> dict[str, str]:
        """Add a key to the user of this name; return the header that shows it."""
        shown = new_key()
        added = ApiKey(
            id=key_id(shown),
            user_id=f"usr_{user}",
            name="test",
            hint=hint_of(shown),
            created_at=now(),
            scopes=frozenset(scopes),
            organisation=organisation and f"org_{organisation}",
            expires_at=expires_at,
        )
        self._running.call(self._accounts.add_key(added, digest_of(shown)))
        return {"Authorization": f"Bearer {shown}"}


def key_id(shown: str) -> str:
    """Return the id of the key with which ``People.key`` answered, as it is shown or sent."""
    return f"key_{hashlib.sha256(shown.removeprefix('Bearer ').encode()).hexdigest()[:12]}"


def now() -> datetime:
    return SystemClock().now().wall
