"""How failures to sign in slow down those that follow, so that guessing leads nowhere.

Failures count together in three ways. The first two are for one who tries from
one place; the last for many who try one name from everywhere. It is mild, and
does not hold where the user has signed in before: nobody can lock out another.
"""

import hashlib
from dataclasses import dataclass

from ci_common.sign_in import Throttle
from ci_server.clients import client_group

QUARTER_HOUR = 900.0
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class AttemptThrottles:
    """What a try is counted under; ``own`` of it is the user's at that place."""

    own: Throttle
    place: Throttle
    name: Throttle | None

    @property
    def all(self) -> list[Throttle]:
        """All that there are."""
        return [each for each in (self.own, self.place, self.name) if each is not None]


def throttles_of(name: str, address: str, *, known: bool) -> AttemptThrottles:
    """Return what a try to sign in as ``name`` from ``address`` is counted under.

    ``known``: the user has signed in from there before.
    """
    folded, place = name.casefold(), client_group(address)
    return AttemptThrottles(
        own=Throttle(_key("own", folded, place), free=5, longest=QUARTER_HOUR),
        place=Throttle(_key("place", place), free=20, longest=QUARTER_HOUR),
        name=None if known else Throttle(_key("name", folded), free=20, longest=MINUTE),
    )


def place_of(address: str) -> bytes:
    """Return what stands for where somebody is."""
    return _key("place", client_group(address))


def _key(*parts: str) -> bytes:
    # Hashed, as people type a password where a name belongs.
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
