"""Users, organisations and API keys: what they are, and what is asked of whatever keeps them."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from ci_common.access import ALL_SCOPES, Role, Scope
from ci_common.errors import InvalidRequest

LONGEST_NAME = 64
LONGEST_EMAIL = 254
"""As long as any that mail can be sent to."""

NAME_PATTERN = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}"
"""What the name of a user or an organisation looks like: it stands in addresses and headers."""

_NAME = re.compile(NAME_PATTERN)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def require_name(name: str) -> str:
    """Return ``name`` if a user or an organisation may be called that.

    Raises:
        InvalidRequest: it may not; says what it may look like.

    """
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            f"name: {name[:80]!r} is none for a user or an organisation",
            hint=f"Take 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores of"
            " ASCII; the first is a letter or a digit.",
        )
    return name


def require_email(email: str) -> str:
    """Return ``email`` if it can be one, or is empty. Raises ``InvalidRequest``."""
    fits = len(email) <= LONGEST_EMAIL and email.isprintable() and _EMAIL.fullmatch(email)
    if email and not fits:
        raise InvalidRequest(
            f"email: {email[:80]!r} is not an address",
            hint="Write it as ada@example.org, or leave it out.",
        )
    return email


def new_user_id() -> str:
    """Return an id that no user has had."""
    return f"usr_{secrets.token_hex(12)}"


def new_organisation_id() -> str:
    """Return an id that no organisation has had."""
    return f"org_{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Whom jobs belong to. ``id`` never changes; ``name`` is unique whatever its case.

    A quota that is None is the server's default; 0 is none.
    """

    id: str
    name: str
    created_at: datetime
    max_running: int | None = None
    """Jobs that run at once."""
    max_queued: int | None = None
    """Jobs that wait."""
    max_project_bytes: int | None = None
    """Bytes of all projects that are kept."""
    max_artifact_bytes: int | None = None
    """Bytes of all artifacts that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, or a machine. ``id`` never changes; ``name`` is unique whatever its case.

    ``roles`` are by organisation id. ``password``: a hash as argon2 writes it, None for
    who has none. ``issuer`` and ``subject`` name the same person at an OIDC provider.
    """

    id: str
    name: str
    created_at: datetime
    email: str = ""
    server_admin: bool = False
    disabled_at: datetime | None = None
    password: str | None = field(default=None, repr=False)
    issuer: str | None = None
    subject: str | None = None
    last_sign_in: datetime | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of a user, without what is secret of it.

    ``hint`` is its beginning, enough to tell it from others. With an
    ``organisation`` it is good for that one only. ``expires_at`` and
    ``last_used_at`` may be None: never. A key is good while it is neither
    expired nor revoked, and its user is not disabled.
    """

    id: str
    user_id: str
    name: str
    hint: str
    created_at: datetime
    scopes: frozenset[Scope] = ALL_SCOPES
    organisation: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: str | None = None
    """The id of the key that it was rotated to."""

    def is_good(self, now: datetime) -> bool:
        """Return whether it opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


UserChange: TypeAlias = Callable[[User], User]
OrganisationChange: TypeAlias = Callable[[Organisation], Organisation]
KeyChange: TypeAlias = Callable[[ApiKey], ApiKey]


class AccountStore(Protocol):
    """Where accounts are kept. Durable; any number of tasks and processes may call at once.

    What changes a user, an organisation or a key is given what is stored now and
    returns what is to be stored, and nothing comes in between: who signs in while
    an admin disables it stays disabled. It must not await, and what it raises is
    raised, with nothing changed.

    Every method may raise ``StorageBusy`` or ``DatabaseFull``; nothing was changed then.
    """

    async def any_users(self) -> bool:
        """Return whether there is any user: accounts are in force then. Costs next to nothing.

        Once true it stays so: the last admin cannot be removed.
        """
        ...

    async def add_user(self, user: User) -> None:
        """Store a new user with its roles.

        Raises:
            NameTaken: another one has its name, or its issuer and subject.
            OrganisationNotFound: of one of its roles.

        """
        ...

    async def user(self, user_id: str) -> User:
        """Return a user by id. Raises ``UserNotFound``."""
        ...

    async def user_named(self, name: str) -> User:
        """Return a user by name, whatever its case. Raises ``UserNotFound``."""
        ...

    async def user_known_as(self, issuer: str, subject: str) -> User:
        """Return the user that an OIDC provider knows by this. Raises ``UserNotFound``."""
        ...

    async def users(self, organisation: str | None = None) -> Sequence[User]:
        """Return all users, or the members of an organisation, by name."""
        ...

    async def change_user(self, user_id: str, change: UserChange) -> User:
        """Change a user and return it; not its id, its roles, nor when it was made.

        Raises:
            UserNotFound: there is none with this id.
            NameTaken: another one has its new name, or its new issuer and subject.
            LastAdmin: it was the last who is a server admin and not disabled, and
                would not be that any more.

        """
        ...

    async def remove_user(self, user_id: str) -> None:
        """Delete a user with its keys and memberships.

        Raises:
            UserNotFound: there is none with this id.
            LastAdmin: nobody would be left who is a server admin and not disabled.

        """
        ...

    async def add_organisation(self, organisation: Organisation) -> None:
        """Store a new organisation. Raises ``NameTaken``."""
        ...

    async def organisation(self, organisation_id: str) -> Organisation:
        """Return an organisation by id. Raises ``OrganisationNotFound``."""
        ...

    async def organisation_named(self, name: str) -> Organisation:
        """Return an organisation by name, whatever its case. Raises ``OrganisationNotFound``."""
        ...

    async def organisations(self) -> Sequence[Organisation]:
        """Return all organisations, by name."""
        ...

    async def change_organisation(
        self, organisation_id: str, change: OrganisationChange
    ) -> Organisation:
        """Change the name and the quotas of an organisation, and return it.

        Raises:
            OrganisationNotFound: there is none with this id.
            NameTaken: another one has its new name.

        """
        ...

    async def remove_organisation(self, organisation_id: str) -> None:
        """Delete an organisation without jobs, with its memberships, keys, secrets and webhooks.

        Raises:
            OrganisationNotFound: there is none with this id.
            OrganisationInUse: it has jobs.

        """
        ...

    async def adopt(self, organisation_id: str) -> int:
        """Give an organisation the webhooks of nobody, and those jobs of nobody that have ended.

        Returns how many jobs that were. A job that has not ended keeps its turn and
        its group, and with them stays nobody's. Of a job whose idempotency key one
        of the organisation has, the key is forgotten. What was adopted when this is
        broken off stays adopted; once more does the rest.

        Raises ``OrganisationNotFound``.
        """
        ...

    async def set_role(self, organisation: str, user_id: str, role: Role | None) -> None:
        """Give a user a role in an organisation, or, with None, end its membership.

        Raises ``OrganisationNotFound``, ``UserNotFound``.
        """
        ...

    async def add_key(self, key: ApiKey, digest: bytes) -> None:
        """Store a key, known from then on by the SHA-256 of the whole key as it is shown.

        A key is random and long, so that hashing it slowly would protect nothing
        (unlike a password). Raises ``UserNotFound``, ``OrganisationNotFound``.
        """
        ...

    async def key_of(self, digest: bytes) -> tuple[ApiKey, User]:
        """Return the key with this SHA-256, and its user, whether it is good or not.

        Raises:
            KeyNotFound: there is none.

        """
        ...

    async def key(self, key_id: str) -> ApiKey:
        """Return a key by its public id. Raises ``KeyNotFound``."""
        ...

    async def keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        """Return the keys of a user, or all, newest first."""
        ...

    async def change_key(self, key_id: str, change: KeyChange) -> ApiKey:
        """Change a key and return it: its name, end, revocation, and what replaces it.

        A revocation stays. Raises ``KeyNotFound``.
        """
        ...

    async def note_key_use(self, key_id: str, at: datetime) -> None:
        """Note when a key was used last; may write less often than it is called."""
        ...
