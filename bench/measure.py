"""Timing two ways of doing a thing in turn, A B A B …, so that a drifting machine hits both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Seconds of each run of both sides, in the order they were taken."""

    name: str
    ours_name: str
    theirs_name: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    count: int = 1
    """How many of the thing one run does."""

    @property
    def ratio(self) -> float:
        """Median of the ratios pair by pair: below 1, ours takes less time."""
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    def report(self) -> str:
        rows = [
            f"{self.name} ({len(self.ours)} pairs)",
            _row(self.ours_name, self.ours, self.count),
            _row(self.theirs_name, self.theirs, self.count),
            f"  ratio, ours / theirs, median of pairs: {self.ratio:.2f}",
        ]
        return "\n".join(rows)


def _row(name: str, seconds: tuple[float, ...], count: int) -> str:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    rate = f"  {count / middle:8.0f} per second" if count > 1 else ""
    return (
        f"  {name:<48} min {low * 1000:8.1f} ms  median {middle * 1000:8.1f} ms"
        f"  max {high * 1000:8.1f} ms{rate}"
    )


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long ``action`` takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def compare(
    name: str,
    ours: tuple[str, Callable[[], object]],
    theirs: tuple[str, Callable[[], object]],
    *,
    pairs: int,
    count: int = 1,
) -> Comparison:
    """Run both sides in turn ``pairs`` times, after one run of each that does not count."""
    for _, action in (ours, theirs):
        action()
    times = [(seconds_of(ours[1]), seconds_of(theirs[1])) for _ in range(pairs)]
    return Comparison(
        name, ours[0], theirs[0], tuple(a for a, _ in times), tuple(b for _, b in times), count
    )
