"""Who one is, as HTTP shows it."""

from collections.abc import Sequence

import msgspec


class MembershipView(msgspec.Struct, frozen=True, kw_only=True):
    """A role in an organisation, both by name."""

    organisation: str
    role: str


class WhoamiView(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the request's credential shows it.

    Without accounts (``accounts`` is false) everybody may do everything and
    nobody has a name. ``organisations`` are those that the credential is good
    for; a server admin gets to all others, too. ``credential`` is ``key``,
    ``token``, ``session`` or ``none``; ``key_id``, ``key_name`` and
    ``key_expires_at`` are of the key, if it is one.
    """

    accounts: bool
    user: str | None
    server_admin: bool
    organisations: Sequence[MembershipView]
    scopes: Sequence[str]
    credential: str
    key_id: str | None = None
    key_name: str | None = None
    key_expires_at: str | None = None
