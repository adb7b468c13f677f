"""Signing in, whichever way in: all that its routes and credentials work with."""

import logging
from dataclasses import dataclass, replace

from ci_common.accounts import AccountStore, User
from ci_common.clock import Clock
from ci_common.errors import NotSignedIn, RateLimited, UserNotFound
from ci_common.sign_in import SignInMethod, SignInStore
from ci_server.sign_in.links import PasswordLinks
from ci_server.sign_in.oidc import OidcSignIn
from ci_server.sign_in.passwords import Passwords, check_password
from ci_server.sign_in.sessions import Caller, Opened, Sessions
from ci_server.sign_in.throttling import AttemptThrottles, place_of, throttles_of
from ci_server.sign_in.tokens import Tokens

WRONG = "the name or the password is wrong"
"""The same for all that can be wrong: who asks learns nothing about who there is."""

_NOBODY = ""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs users in. ``oidc`` is None where no provider is configured."""

    accounts: AccountStore
    store: SignInStore
    passwords: Passwords
    sessions: Sessions
    links: PasswordLinks
    tokens: Tokens
    clock: Clock
    oidc: OidcSignIn | None = None

    async def with_password(self, name: str, password: str, caller: Caller) -> tuple[User, Opened]:
        """Open a session for a user who gives name and password.

        Raises:
            NotSignedIn: they are not right; always in the same words.
            RateLimited: too many wrong ones before, or too many sign in at once.

        """
        user = await self._shown(name, password, caller)
        return user, await self.open(user, SignInMethod.PASSWORD, caller)

    async def change_password(self, name: str, password: str, new: str, caller: Caller) -> None:
        """Give a user who knows the present password another; all of its sessions end.

        Raises:
            InvalidRequest: the new one will not do.
            NotSignedIn, RateLimited: as ``with_password``.

        """
        check_password(new, name)
        user = await self._shown(name, password, caller)
        kept = await self.passwords.hash(new)
        await self.accounts.change_user(user.id, lambda it: replace(it, password=kept))

    async def with_link(
        self, secret: str, password: str, caller: Caller, *, name: str = ""
    ) -> tuple[User, Opened]:
        """Have a link's user choose a password, and open a session. Raises as ``set_password``."""
        user = await self.links.set_password(secret, password, name=name)
        return user, await self.open(user, SignInMethod.LINK, caller)

    async def open(self, user: User, method: SignInMethod, caller: Caller) -> Opened:
        """Open a session for a user who has shown who it is.

        Raises:
            NotSignedIn: the user has been disabled or removed in the meantime.

        """
        try:
            opened = await self.sessions.open(user, method, caller)
            now = opened.session.created_at
            await self.accounts.change_user(user.id, lambda it: replace(it, last_sign_in=now))
        except UserNotFound:
            raise NotSignedIn(WRONG) from None
        _logger.info("%s signed in from %s by %s", user.name, caller.address, method.value)
        return opened

    async def _shown(self, name: str, password: str, caller: Caller) -> User:
        """Return the user whose name and password these are. Raises as ``with_password``."""
        user = await self._known(name)
        place = place_of(caller.address)
        known = await self.store.knows_place(user.id if user else _NOBODY, place)
        throttles = throttles_of(name, caller.address, known=known)
        await self._begin(throttles)
        try:
            verdict = await self.passwords.verify(user.password if user else None, password)
        except RateLimited:
            await self.store.forgive(throttles.all)
            raise
        if user is None or not verdict.right:
            raise NotSignedIn(WRONG, hint="An administrator can send you a link for a new one.")
        await self.store.forgive(throttles.all, forget=throttles.own)
        if verdict.rehash and user.password is not None:
            new = await self.passwords.hash(password)
            await self.store.rehash(user.id, old=user.password, new=new)
        return user

    async def _begin(self, throttles: AttemptThrottles) -> None:
        now = self.clock.now().wall
        until = await self.store.begin_attempt(throttles.all, now=now)
        if until is not None:
            raise RateLimited(
                "too many wrong passwords",
                hint="Try again after the seconds of Retry-After.",
                retry_after=(until - now).total_seconds(),
            )

    async def _known(self, name: str) -> User | None:
        """Return the user of a name who may sign in with a password."""
        try:
            user = await self.accounts.user_named(name)
        except UserNotFound:
            return None
        return user if user.disabled_at is None else None
