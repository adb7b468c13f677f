"""What ``ci admin`` does besides, on the server's machine, to let a user in for the first time."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ci_common.access import ALL_SCOPES
from ci_common.accounts import User
from ci_common.api.api_keys import KeyRequest
from ci_common.audit import AuditedAction
from ci_common.sign_in import SignInStore
from ci_server.accounts import Accounts
from ci_server.api_keys import ApiKeys
from ci_server.settings import Settings
from ci_server.sign_in.links import base_url, new_password_link
from ci_server.sign_in.passwords import check_password, normalized, owasp_hasher

if TYPE_CHECKING:
    from collections.abc import Callable

    from argon2 import PasswordHasher


@dataclass(frozen=True, slots=True)
class MachineAccounts(Accounts):
    """Accounts for whoever may write the server's data."""

    sign_in: SignInStore
    settings: Settings
    hasher: "Callable[[], PasswordHasher]" = owasp_hasher

    def hashed(self, name: str, password: str) -> str:
        """Return what is kept of a password of the user ``name``.

        Raises:
            InvalidRequest: it is easy to guess.

        """
        check_password(password, name)
        return self.hasher().hash(normalized(password))

    async def set_password(self, name: str, password: str) -> User:
        """Give a user a password; its sessions end. Raises ``UserNotFound``, ``InvalidRequest``."""
        user = await self.store.user_named(name)
        kept = self.hashed(user.name, password)
        changed = await self.store.change_user(user.id, lambda it: replace(it, password=kept))
        await self.record(AuditedAction.PASSWORD_CHANGE, f"user {user.name}")
        return changed

    async def invite(self, user: User) -> tuple[str, datetime]:
        """Return a link by which a user chooses a password, once, and when it ends.

        Raises:
            UserNotFound: the user is disabled.

        """
        path, link = await new_password_link(self.sign_in, self.clock, user.id)
        await self.record(AuditedAction.INVITE, f"user {user.name}")
        return base_url(self.settings) + path, link.expires_at

    async def add_key(self, user: User, name: str) -> str:
        """Return a new API key of a user that is good for all that the user may do."""
        keys = ApiKeys(self.store, self.clock, max_age=self.settings.max_key_age)
        asked = KeyRequest(name=name, scopes=sorted(ALL_SCOPES))
        key, shown = await keys.make_on_the_machine(user, asked)
        await self.record(AuditedAction.KEY_ADD, f"key {key.id} of {user.name}")
        return shown
