"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays in seconds, with full jitter so that many do not return at once.

    Source: the "full jitter" rule of the AWS architecture blog's article on
    exponential backoff.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 30.0

    def ceiling(self, failures: int) -> float:
        """Return the longest delay after ``failures`` failures in a row (1 or more)."""
        # The exponent is capped so that an endless failure cannot overflow a float.
        return min(self.longest, self.first * self.factor ** min(max(failures - 1, 0), 64))

    def delay(self, failures: int, rng: random.Random | None = None) -> float:
        """Return a delay between half of the ceiling and the ceiling."""
        top = self.ceiling(failures)
        return (rng or random).uniform(top / 2, top)
