"""Measuring several ways of doing a thing in turn, A B C A B C …: a drift hits all of them."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Figure = Literal["ratio", "rate", "p50", "p95", "p99"]

Run = Callable[[], Sequence[float]]
"""Does a thing once; returns samples of the comparison's quantity."""


@dataclass(frozen=True)
class Quantity:
    """What samples are, and how one is shown: times ``factor``, with ``digits`` decimals."""

    unit: str
    factor: float = 1.0
    digits: int = 1

    def show(self, value: float) -> str:
        """Return ``value`` with its unit."""
        return f"{value * self.factor:,.{self.digits}f} {self.unit}"

    def limit(self, value: float) -> str:
        """Return a limit with its unit, without decimals it does not have."""
        return f"{value * self.factor:g} {self.unit}"


TIME = Quantity("ms", 1000)
"""Samples are seconds."""

KILOBYTES = Quantity("KB", 1e-3)
"""Samples are bytes."""

MEGABYTES = Quantity("MB", 1e-6)
"""Samples are bytes."""

CORE = Quantity("% of a core", 100, 2)
"""Samples are seconds of CPU time per second."""


@dataclass(frozen=True)
class Side:
    """One way of doing the thing."""

    name: str
    run: Run


@dataclass(frozen=True)
class Target:
    """What our side must reach: a figure of its samples, a ratio, or a rate.

    A ratio is that against the first other side. A ratio of rates and a rate
    are to be at least ``limit``, all others at most.
    """

    figure: Figure
    limit: float


@dataclass(frozen=True)
class Series:
    """What one side took: the samples of each run, in the order they were taken."""

    name: str
    runs: tuple[tuple[float, ...], ...]

    @property
    def samples(self) -> list[float]:
        """The samples of all runs."""
        return [sample for run in self.runs for sample in run]

    def quantile(self, share: float) -> float:
        """Return the sample below which ``share`` of all samples lie."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        """The median of all samples."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Comparison:
    """Our side first, then those beside it, if any.

    ``amount`` is how much of ``unit`` one run does; where it is given, samples
    are times and the ratios are those of the rates (more is better).
    ``remarks`` say what could not be measured here, and why.
    """

    name: str
    series: tuple[Series, ...]
    targets: tuple[Target, ...] = ()
    amount: float = 0.0
    unit: str = ""
    quantity: Quantity = TIME
    remarks: tuple[str, ...] = ()

    def ratios(self) -> dict[str, float]:
        """Return our side against each other one: the median of the ratios run by run."""
        ours, *others = self.series
        return {other.name: self._ratio(ours, other) for other in others}

    def rate(self, series: Series) -> float:
        """Return how much of ``unit`` a side does in a second."""
        return self.amount / series.median

    def at_least(self, target: Target) -> bool:
        """Return whether more is better in what ``target`` is about."""
        return target.figure == "rate" or (target.figure == "ratio" and self.amount > 0)

    def figure(self, target: Target) -> float:
        """Return the figure that ``target`` is about."""
        ours = self.series[0]
        match target.figure:
            case "ratio":
                return next(iter(self.ratios().values()))
            case "rate":
                return self.rate(ours)
            case "p50":
                return ours.median
            case quantile:
                return ours.quantile(int(quantile[1:]) / 100)

    def reached(self, target: Target) -> bool:
        """Return whether the figure is good enough."""
        figure = self.figure(target)
        return figure >= target.limit if self.at_least(target) else figure <= target.limit

    def show(self, series: Series) -> str:
        """Return the figure that stands for a side: its rate if it has one, else its median."""
        if self.amount:
            return f"{self.rate(series):,.1f} {self.unit}/s"
        return self.quantity.show(series.median)

    def describe(self, target: Target) -> str:
        """Return a target in words, without what came of it."""
        sign = "≥" if self.at_least(target) else "≤"
        match target.figure:
            case "ratio":
                return f"ratio {sign} {target.limit:g}"
            case "rate":
                return f"{sign} {target.limit:g} {self.unit}/s"
            case "p50":
                return f"median {sign} {self.quantity.limit(target.limit)}"
            case quantile:
                return f"{quantile} {sign} {self.quantity.limit(target.limit)}"

    def outcome(self, target: Target) -> str:
        """Return the figure that ``target`` is about, in words."""
        figure = self.figure(target)
        match target.figure:
            case "ratio":
                return f"{figure:.2f}"
            case "rate":
                return f"{figure:,.1f} {self.unit}/s"
            case _:
                return self.quantity.show(figure)

    def report(self) -> str:
        """Return all sides, their ratios and the targets, as lines."""
        lines = [f"{self.name} ({len(self.series[0].runs)} runs of each)"]
        lines += [self._row(each) for each in self.series]
        kind = "rates" if self.amount else "medians"
        lines += [
            f"  ratio of {kind}, {self.series[0].name} / {name}: {ratio:.2f}"
            for name, ratio in self.ratios().items()
        ]
        lines += [
            f"  target {self.describe(target)}: {self.outcome(target)},"
            f" {'met' if self.reached(target) else 'MISSED'}"
            for target in self.targets
        ]
        lines += [f"  {remark}" for remark in self.remarks]
        return "\n".join(lines)

    def raw(self) -> dict[str, object]:
        """Return every sample, as JSON has it."""
        sides = [{"name": each.name, "runs": each.runs} for each in self.series]
        return {"name": self.name, "sides": sides, "amount": self.amount, "unit": self.unit}

    def _ratio(self, ours: Series, other: Series) -> float:
        ratio = statistics.median(
            statistics.median(a) / statistics.median(b)
            for a, b in zip(ours.runs, other.runs, strict=True)
        )
        return 1 / ratio if self.amount else ratio

    def _row(self, series: Series) -> str:
        figures = (min(series.samples), series.median, *map(series.quantile, (0.95, 0.99)))
        labels = ("min", "median", "p95", "p99")
        cells = (
            f"{label} {self.quantity.show(value):>9}"
            for label, value in zip(labels, figures, strict=True)
        )
        rate = f"  = {self.show(series)}" if self.amount else ""
        return f"  {series.name:<52} {'  '.join(cells)}{rate}"


def timed(action: Callable[[], object], *, before: Callable[[], object] | None = None) -> Run:
    """Return a side's ``run`` that takes the time of ``action`` and not of ``before``."""

    def run() -> tuple[float]:
        if before is not None:
            before()
        begin = time.perf_counter()
        action()
        return (time.perf_counter() - begin,)

    return run


def announce(name: str) -> None:
    """Say on stderr what is being measured now."""
    print(f"… {name}", file=sys.stderr, flush=True)


def compare(
    name: str,
    sides: Sequence[Side],
    *,
    pairs: int,
    targets: tuple[Target, ...] = (),
    amount: float = 0.0,
    unit: str = "",
    quantity: Quantity = TIME,
) -> Comparison:
    """Run all sides in turn ``pairs`` times, after one run of each that does not count."""
    announce(name)
    for side in sides:
        side.run()
    rounds = [[tuple(side.run()) for side in sides] for _ in range(pairs)]
    series = tuple(
        Series(side.name, tuple(each[number] for each in rounds))
        for number, side in enumerate(sides)
    )
    return Comparison(name, series, targets, amount, unit, quantity)
