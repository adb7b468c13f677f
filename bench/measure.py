"""Timing several ways of doing a thing in turn, A B C A B C …, so that a drift hits all of them."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Figure = Literal["ratio", "p50", "p95", "p99"]

Run = Callable[[], Sequence[float]]
"""Does a thing once; returns samples in seconds."""


@dataclass(frozen=True)
class Side:
    """One way of doing the thing."""

    name: str
    run: Run


@dataclass(frozen=True)
class Target:
    """What our side must reach: a time in seconds, or a ratio against the first other side."""

    figure: Figure
    limit: float


@dataclass(frozen=True)
class Series:
    """What one side took: the samples of each run, in seconds, in the order they were taken."""

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
    """Our side first, then those beside it.

    ``amount`` is how much of ``unit`` one run does; where it is given, the
    ratios are those of the rates (more is better), else those of the times.
    """

    name: str
    series: tuple[Series, ...]
    targets: tuple[Target, ...] = ()
    amount: float = 0.0
    unit: str = ""

    def ratios(self) -> dict[str, float]:
        """Return our side against each other one: the median of the ratios run by run."""
        ours, *others = self.series
        return {other.name: self._ratio(ours, other) for other in others}

    def reached(self, target: Target) -> tuple[float, bool]:
        """Return the figure that ``target`` is about, and whether it is good enough."""
        if target.figure == "ratio":
            figure = next(iter(self.ratios().values()))
            return figure, figure >= target.limit if self.amount else figure <= target.limit
        ours = self.series[0]
        share = int(target.figure[1:]) / 100
        figure = ours.median if target.figure == "p50" else ours.quantile(share)
        return figure, figure <= target.limit

    def describe(self, target: Target) -> str:
        """Return a target in words, with what came of it."""
        figure, met = self.reached(target)
        sign = "≥" if target.figure == "ratio" and self.amount else "≤"
        verdict = "met" if met else "MISSED"
        if target.figure == "ratio":
            return f"ratio {sign} {target.limit:g}: {figure:.2f}, {verdict}"
        limit = f"{target.limit * 1000:g} ms"
        return f"{target.figure} {sign} {limit}: {figure * 1000:.1f} ms, {verdict}"

    def report(self) -> str:
        """Return both sides, their ratios and the targets, as lines."""
        lines = [f"{self.name} ({len(self.series[0].runs)} runs of each)"]
        lines += [self._row(each) for each in self.series]
        kind = "rates" if self.amount else "times"
        lines += [
            f"  ratio of {kind}, {self.series[0].name} / {name}: {ratio:.2f}"
            for name, ratio in self.ratios().items()
        ]
        lines += [f"  target: {self.describe(target)}" for target in self.targets]
        return "\n".join(lines)

    def raw(self) -> dict[str, object]:
        """Return everything that was measured, as JSON has it. Times are seconds."""
        return {
            "name": self.name,
            "sides": [{"name": each.name, "runs": each.runs} for each in self.series],
            "amount": self.amount,
            "unit": self.unit,
            "ratios": self.ratios(),
            "targets": [
                {"figure": each.figure, "limit": each.limit, "reached": self.reached(each)[0]}
                for each in self.targets
            ],
        }

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
            f"{label} {value * 1000:8.1f}" for label, value in zip(labels, figures, strict=True)
        )
        rate = f"  = {self.amount / series.median:.1f} {self.unit}/s" if self.amount else ""
        return f"  {series.name:<52} {'  '.join(cells)} ms{rate}"


def table(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table of all comparisons."""
    lines = ["| measure | Standby CI | beside it | ratio | target |", "|---|---|---|---|---|"]
    for each in comparisons:
        ours, *others = each.series
        beside = "<br>".join(f"{other.name}: {other.median * 1000:.1f} ms" for other in others)
        ratios = "<br>".join(f"{ratio:.2f}" for ratio in each.ratios().values())
        targets = "<br>".join(each.describe(target) for target in each.targets)
        middle = f"{ours.name}: {ours.median * 1000:.1f} ms"
        lines.append(f"| {each.name} | {middle} | {beside} | {ratios} | {targets} |")
    return "\n".join(lines)


def timed(action: Callable[[], object], *, before: Callable[[], object] | None = None) -> Run:
    """Return a side's ``run`` that takes the time of ``action`` and not of ``before``."""

    def run() -> tuple[float]:
        if before is not None:
            before()
        begin = time.perf_counter()
        action()
        return (time.perf_counter() - begin,)

    return run


def compare(
    name: str,
    sides: Sequence[Side],
    *,
    pairs: int,
    targets: tuple[Target, ...] = (),
    amount: float = 0.0,
    unit: str = "",
) -> Comparison:
    """Run all sides in turn ``pairs`` times, after one run of each that does not count."""
    print(f"… {name}", file=sys.stderr, flush=True)
    for side in sides:
        side.run()
    rounds = [[tuple(side.run()) for side in sides] for _ in range(pairs)]
    series = tuple(
        Series(side.name, tuple(each[number] for each in rounds))
        for number, side in enumerate(sides)
    )
    return Comparison(name, series, targets, amount, unit)
