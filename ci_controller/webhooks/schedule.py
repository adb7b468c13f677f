"""What follows from a try: whether, and when, there is another. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from ci_common.webhooks import Attempt, DeliveryState, Due, Next

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds a receiver can have us wait, whatever it asks for."""

_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """``retries``: seconds from each try to the next, so one try more than there are.

    ``disable_after``: seconds of nothing but failures after which a webhook is disabled.
    """

    retries: Sequence[float]
    disable_after: float

    def next(self, due: Due, attempt: Attempt, rng: random.Random) -> Next:
        """Return what follows from a try of a delivery."""
        if attempt.error is None:
            return Next(state=DeliveryState.DELIVERED)
        if attempt.status == HTTPStatus.GONE:
            return Next(state=DeliveryState.DEAD, disable="its receiver answered 410 Gone")
        failing_since = due.webhook.failing_since
        if failing_since is not None and self._is_hopeless(failing_since, attempt.at):
            return Next(
                state=DeliveryState.DEAD,
                disable=f"nothing has arrived since {failing_since:%Y-%m-%d %H:%M} UTC;"
                f" the latest failure: {attempt.error}",
            )
        tried = due.delivery.attempts - due.delivery.schedule_from
        if tried >= len(self.retries):
            return Next(state=DeliveryState.DEAD)
        wait = self.retries[tried] * rng.uniform(1 - _JITTER, 1 + _JITTER)
        asked = min(attempt.retry_after or 0.0, LONGEST_RETRY_AFTER)
        return Next(
            state=DeliveryState.PENDING,
            next_try=attempt.at + timedelta(seconds=max(wait, asked)),
        )

    def _is_hopeless(self, failing_since: datetime, now: datetime) -> bool:
        return (now - failing_since).total_seconds() >= self.disable_after
