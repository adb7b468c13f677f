"""Actors, what they can do, and what they do it to.

Everything that jobs leave and need belongs to an organisation. What a server
without accounts has belongs to none: its organisation is ``NOBODYS``, which of
the users only a server admin reaches once there are accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

NOBODYS = ""
"""The organisation of what was there, or came, without accounts."""

Within: TypeAlias = frozenset[str] | None
"""Organisations, by id, to which a question is limited; None for no limit.

``NOBODYS`` is never among them: who sees what is nobody's sees everything.
"""


class Role(StrEnum):
    """What a user is in an organisation, the least first: each may what those before it may."""

    VIEWER = "viewer"
    """Sees jobs and what they leave."""
    MEMBER = "member"
    """Submits, retries and cancels."""
    ADMIN = "admin"
    """Has members, secrets and webhooks in hand."""

    def includes(self, other: "Role") -> bool:
        """Return whether who is this may what ``other`` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


class Scope(StrEnum):
    """What an API key may be used for, whatever its user may do besides."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


class Action(StrEnum):
    """What can be asked of a server. Each route names the one that it is."""

    BE_THERE = "be_there"
    """What anybody may ask: whether the server lives, and how to sign in."""
    KNOW_ONESELF = "know_oneself"
    """See who one is, and end one's own session."""
    MANAGE_OWN_KEYS = "manage_own_keys"
    """Make, list, rotate and revoke one's own API keys; change one's password."""
    READ = "read"
    """See jobs, logs, results, events, the queue and what is cached."""
    SUBMIT = "submit"
    """Submit and retry jobs."""
    CANCEL = "cancel"
    """Cancel jobs, whosever of the organisation they are."""
    PRUNE_CACHE = "prune_cache"
    READ_WEBHOOKS = "read_webhooks"
    MANAGE_WEBHOOKS = "manage_webhooks"
    LIST_SECRETS = "list_secrets"
    """See which there are. Nobody sees their values."""
    MANAGE_SECRETS = "manage_secrets"
    READ_MEMBERS = "read_members"
    MANAGE_MEMBERS = "manage_members"
    READ_AUDIT = "read_audit"
    MANAGE_ACCOUNTS = "manage_accounts"
    """Make and remove users and organisations, and set quotas."""
    OPERATE = "operate"
    """See what concerns the whole server: its metrics."""


@dataclass(frozen=True, slots=True)
class OfServer:
    """What belongs to the server as a whole."""


@dataclass(frozen=True, slots=True)
class OfOrganisation:
    """What belongs to the organisation with this id."""

    organisation: str


@dataclass(frozen=True, slots=True)
class OfUser:
    """What belongs to the user with this id."""

    user_id: str


Resource: TypeAlias = OfServer | OfOrganisation | OfUser


class Credential(StrEnum):
    """By what an actor is known."""

    NONE = "none"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 -- the word
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever asks, as the request's credential shows it.

    ``roles`` are by organisation id; a credential made for one organisation has
    only that. ``credential_id`` is the public id of the key or session.
    ``unlimited``: the server has no accounts, and whoever reaches it may do all.
    """

    user_id: str = ""
    name: str = ""
    server_admin: bool = False
    roles: Mapping[str, Role] = field(default_factory=dict)
    scopes: frozenset[Scope] = ALL_SCOPES
    credential: Credential = Credential.NONE
    credential_id: str = ""
    unlimited: bool = False

    @property
    def is_anonymous(self) -> bool:
        """Whether nothing is known of who asks, though it matters."""
        return not self.user_id and not self.unlimited


ANONYMOUS = Actor(scopes=frozenset())
"""Who shows no credential where accounts are in force."""

EVERYBODY = Actor(unlimited=True)
"""Whoever reaches a server without accounts."""
