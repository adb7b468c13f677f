"""One-time links for choosing a password."""

from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

from ci_common.accounts import AccountStore, User, new_user_id, require_name
from ci_common.clock import Clock
from ci_common.errors import LinkNotGood
from ci_common.sign_in import PasswordLink, SignInStore, digest_of, new_secret
from ci_server.listening import listening_at
from ci_server.settings import Settings, is_loopback
from ci_server.sign_in.passwords import Passwords, check_password

PATH = "/set-password"

LIFETIME = timedelta(days=1)
"""Enough to hand it over; it opens an account."""


@dataclass(frozen=True, slots=True)
class PasswordLinks:
    """Makes links, and sets passwords by them."""

    store: SignInStore
    accounts: AccountStore
    passwords: Passwords
    clock: Clock

    async def new(self, user_id: str | None) -> tuple[str, PasswordLink]:
        """Return a new link, as a path, and when it ends; an older one of the user is no good now.

        None is for nobody yet: it makes the first admin. Raises ``UserNotFound``.
        """
        return await new_password_link(self.store, self.clock, user_id)

    async def user_of(self, secret: str) -> User | None:
        """Return whose password a link sets; None: it makes the first admin.

        Raises:
            LinkNotGood: it is unknown, over, or used.

        """
        link = await self.store.link_of(digest_of(secret))
        if link is None or self.clock.now().wall >= link.expires_at:
            raise LinkNotGood
        if link.user_id is not None:
            return await self.accounts.user(link.user_id)
        if await self.accounts.any_users():
            raise LinkNotGood
        return None

    async def set_password(self, secret: str, password: str, *, name: str = "") -> User:
        """Use a link up: give its user a password, or make the first admin of that ``name``.

        Every session of the user ends. Nothing is used up by what is refused.

        Raises:
            LinkNotGood: it is unknown, over, or used.
            InvalidRequest: the password or the name will not do.

        """
        user = await self.user_of(secret)
        now = self.clock.now().wall
        if user is None:
            admin = User(
                id=new_user_id(), name=require_name(name), created_at=now, server_admin=True
            )
            check_password(password, name)
            admin = replace(admin, password=await self.passwords.hash(password))
            if not await self.store.use_first_link(digest_of(secret), admin, now=now):
                raise LinkNotGood
            return admin
        check_password(password, user.name)
        kept = await self.passwords.hash(password)
        if not await self.store.use_link(digest_of(secret), kept, now=now):
            raise LinkNotGood
        return await self.accounts.user(user.id)


async def new_password_link(
    store: SignInStore, clock: Clock, user_id: str | None
) -> tuple[str, PasswordLink]:
    """Return a new link, as a path, and what is kept of it; see ``PasswordLinks.new``."""
    secret, now = new_secret(), clock.now().wall
    link = PasswordLink(user_id=user_id, created_at=now, expires_at=now + LIFETIME)
    await store.add_link(link, digest_of(secret))
    return f"{PATH}?link={quote(secret)}", link


def base_url(settings: Settings) -> str:
    """Return the address that a link begins with: the public one, else that on this machine."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host, port = listening_at(settings)
    # Without TLS, people can sign in on this machine only.
    reachable = host if is_loopback(host) else "localhost"
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
