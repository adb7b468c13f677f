"""API keys as HTTP shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from ci_common.access import Scope
from ci_common.accounts import ApiKey
from ci_common.clock import format_utc

_A_DAY = 86_400.0
_A_CENTURY = 100 * 365 * _A_DAY

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
OwnerName = Annotated[str, msgspec.Meta(max_length=64)]
Scopes = Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
# A least value of 0 is left out of the description by the framework.
Life = Annotated[float, msgspec.Meta(ge=1, le=_A_CENTURY)]
Overlap = Annotated[float, msgspec.Meta(ge=0, le=30 * _A_DAY)]


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be.

    ``user`` is whose it is, by name; without it, whoever asks. With an
    ``organisation``, by name, it is good for that one only. ``expires_in``:
    seconds from now; without it, as long as the server lets keys live.
    """

    name: Name
    scopes: Scopes = msgspec.field(default_factory=lambda: [Scope.READ, Scope.SUBMIT])
    organisation: OwnerName | None = None
    expires_in: Life | None = None
    user: OwnerName | None = None


class KeyRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to replace a key.

    ``overlap``: seconds that the old one stays good, at most to its end.
    ``expires_in``: seconds from now that the new one is good; without it, as
    long as the old one was made for.
    """

    overlap: Overlap = _A_DAY
    expires_in: Life | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """One key, without what is secret of it. Times are UTC in RFC 3339 with a ``Z``.

    ``state`` is ``active``, ``replaced`` (good, and rotated), ``expired`` or
    ``revoked``. ``hint`` is how the key begins. With an ``organisation`` it is
    good for that one only. ``last_used_at`` is right to the minute.
    ``replaced_by`` is the id of the key that it was rotated to.
    """

    id: str
    name: str
    hint: str
    user: str
    scopes: Sequence[str]
    organisation: str | None
    state: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    replaced_by: str | None


class KeyWithSecret(KeyView, frozen=True, kw_only=True):
    """A key, whole, which is shown this once."""

    key: str


def key_view(key: ApiKey, now: datetime, *, user: str, organisation: str | None) -> KeyView:
    """Return what may be seen of a key at ``now``; ``user`` and ``organisation`` are names."""
    return KeyView(
        id=key.id,
        name=key.name,
        hint=key.hint,
        user=user,
        scopes=[scope.value for scope in Scope if scope in key.scopes],
        organisation=organisation,
        state=_state_of(key, now),
        created_at=format_utc(key.created_at),
        expires_at=_when(key.expires_at),
        last_used_at=_when(key.last_used_at),
        revoked_at=_when(key.revoked_at),
        replaced_by=key.replaced_by,
    )


def key_with_secret(view: KeyView, key: str) -> KeyWithSecret:
    """Return a key for whoever has just made it."""
    return KeyWithSecret(**msgspec.structs.asdict(view), key=key)


def _state_of(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if not key.is_good(now):
        return "expired"
    return "active" if key.replaced_by is None else "replaced"


def _when(when: datetime | None) -> str | None:
    return None if when is None else format_utc(when)
