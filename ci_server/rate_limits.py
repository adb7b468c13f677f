"""How many requests of a kind a client may send, and what it is told about that.

Each client has a bucket per kind that holds a minute's worth and fills
steadily; it is one number, the moment at which it is full again.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ci_common.errors import RateLimited
from ci_server.clients import UNKNOWN, client_group
from ci_server.route_kinds import RouteKind
from ci_server.settings import Settings, is_loopback

WINDOW = 60
"""Seconds that a limit is for."""

MOST_CLIENTS = 20_000
"""Buckets that are kept of each kind: 3 MB. The one used longest ago goes first."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left to a client: ``remaining`` requests now, all of them in ``reset`` seconds."""

    kind: RouteKind
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """Return it as draft-ietf-httpapi-ratelimit-headers has it."""
        return {
            "RateLimit-Policy": f'"{self.kind.value}";q={self.limit};w={WINDOW}',
            "RateLimit": f'"{self.kind.value}";r={self.remaining};t={self.reset}',
        }


class Buckets:
    """The clients' buckets for one kind of request. ``clock`` in seconds."""

    def __init__(
        self, kind: RouteKind, limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kind = kind
        self._limit = limit
        self._clock = clock
        self._interval = WINDOW / limit
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: str) -> tuple[Quota, float]:
        """Take one request; return what is left, and how many seconds it came too early.

        What comes too early takes nothing.
        """
        now = self._clock()
        full_at = max(self._full_at.get(client, now), now)
        # The clock's last bits do not count as too early.
        early = round(full_at + self._interval - now - WINDOW, 6)
        if early <= 0:
            full_at += self._interval
            self._full_at[client] = full_at
            self._full_at.move_to_end(client)
            if len(self._full_at) > MOST_CLIENTS:
                self._full_at.popitem(last=False)
        missing = full_at - now
        left = max(0, math.floor(round((WINDOW - missing) / self._interval, 6)))
        return Quota(self._kind, self._limit, left, math.ceil(missing)), max(0.0, early)


class RateLimits:
    """The limits of one server process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        limits = {
            RouteKind.SUBMISSIONS: settings.rate_limit_submissions,
            RouteKind.STREAMS: settings.rate_limit_streams,
            RouteKind.READS: settings.rate_limit_reads,
            RouteKind.FAILURES: settings.rate_limit_failures,
        }
        self._buckets = {
            kind: Buckets(kind, limit, clock) for kind, limit in limits.items() if limit
        }
        self._limits_loopback = settings.rate_limit_loopback

    def take(
        self, kind: RouteKind, address: str, credential: str | None = None
    ) -> tuple[Quota, RateLimited | None] | None:
        """Take one request of a client; return what is left, and the refusal if it is too many.

        Who shows a ``credential`` is counted by that, wherever it is shown from; who shows
        none by the address. None: this client has no limit for this kind.
        """
        buckets = self._buckets.get(kind)
        here = address == UNKNOWN or is_loopback(address)
        if buckets is None or (here and not self._limits_loopback):
            return None
        quota, early = buckets.take(credential or client_group(address))
        whose = "with your credential" if credential else "from your address"
        return quota, _refusal(quota, early, whose) if early else None


def _refusal(quota: Quota, early: float, whose: str) -> RateLimited:
    return RateLimited(
        f"more than {quota.limit} {quota.kind.value} in {WINDOW} seconds {whose}",
        hint="Try again after the seconds of Retry-After. On the server: "
        f"CI_RATE_LIMIT_{quota.kind.name}.",
        retry_after=early,
    )
