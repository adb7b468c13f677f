"""How long to wait before trying again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import random


class Backoff:
    """Exponential delays in seconds, with full jitter so that many do not return at once.

    Source: the "full jitter" rule of the AWS architecture blog's article on
    exponential backoff.
    """

    def __init__(self, first: float = 1.0, factor: float = 2.0, longest: float = 30.0) -> None:
        self.first = first
        self.factor = factor
        self.longest = longest

    def ceiling(self, failures: int) -> float:
        """Return the longest delay after ``failures`` failures in a row (1 or more)."""
        # The exponent is capped so that an endless failure cannot overflow a float.
        return min(self.longest, self.first * self.factor ** min(max(failures - 1, 0), 64))

    def delay(self, failures: int, rng: random.Random | None = None) -> float:
        """Return a delay between half of the ceiling and the ceiling."""
        import random  # rarely needed, and the client starts without it

        top = self.ceiling(failures)
        return (rng or random).uniform(top / 2, top)
