"""What was measured last, kept in a file beside the documentation: figures, not samples.

A run of some benchmarks replaces their figures and leaves the others, so the
page can be made anew at any time from what is known.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import docker
import msgspec
from docker.errors import DockerException

from bench.measure import Comparison, Series, Target


class Machine(msgspec.Struct, frozen=True):
    """Where and when a benchmark ran. ``load`` is the mean number of runnable processes before."""

    date: str
    cores: int
    memory_gb: int
    system: str
    python: str
    engine: str
    load: float


class SideFigures(msgspec.Struct, frozen=True):
    """One side: ``shown`` stands for it; the quantiles are in the comparison's quantity."""

    name: str
    shown: str
    runs: int
    samples: int
    low: float
    p50: float
    p95: float
    p99: float


class TargetFigures(msgspec.Struct, frozen=True):
    """A target and what came of it, in words, and ``share``: 1 is the target, less is better."""

    wanted: str
    found: str
    reached: bool
    share: float


class Row(msgspec.Struct, frozen=True):
    """One comparison. ``ratios`` are our side's against each other one, in their order."""

    measure: str
    unit: str
    sides: list[SideFigures]
    ratios: list[float]
    targets: list[TargetFigures]
    remarks: list[str]


class Entry(msgspec.Struct, frozen=True):
    """All that one benchmark found, or why it could not run."""

    machine: Machine
    rows: list[Row] = []
    failure: str = ""


def load(path: Path) -> dict[str, Entry]:
    """Return the entries by the name of their benchmark; empty if there is no file yet."""
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Entry])


def save(path: Path, entries: dict[str, Entry]) -> None:
    """Write the entries, one figure a line, so that a change can be read."""
    text = msgspec.json.format(msgspec.json.encode(entries), indent=1)
    path.write_bytes(text + b"\n")


def this_machine(engine: str) -> Machine:
    """Describe the machine as it is now."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cores=os.cpu_count() or 0,
        memory_gb=round(memory / 1024**3),
        system=_system(),
        python=platform.python_version(),
        engine=engine,
        load=round(os.getloadavg()[0], 1),
    )


def engine_version() -> str:
    """Return the container engine's version, or that there is none."""
    try:
        client = docker.from_env()
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except DockerException:
        return "none"


def row_of(comparison: Comparison) -> Row:
    """Return the figures of a comparison."""
    return Row(
        measure=comparison.name,
        unit=comparison.quantity.unit,
        sides=[_side(comparison, each) for each in comparison.series],
        ratios=[round(ratio, 4) for ratio in comparison.ratios().values()],
        targets=[_target(comparison, each) for each in comparison.targets],
        remarks=list(comparison.remarks),
    )


def _side(comparison: Comparison, series: Series) -> SideFigures:
    figures = (min(series.samples), series.median, *map(series.quantile, (0.95, 0.99)))
    low, p50, p95, p99 = (round(each * comparison.quantity.factor, 3) for each in figures)
    return SideFigures(
        name=series.name,
        shown=comparison.show(series),
        runs=len(series.runs),
        samples=len(series.samples),
        low=low,
        p50=p50,
        p95=p95,
        p99=p99,
    )


def _target(comparison: Comparison, target: Target) -> TargetFigures:
    figure = comparison.figure(target)
    share = target.limit / figure if comparison.at_least(target) else figure / target.limit
    return TargetFigures(
        wanted=comparison.describe(target),
        found=comparison.outcome(target),
        reached=comparison.reached(target),
        share=round(share, 4),
    )


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = platform.system()
    return f"{name}, Linux {platform.release().split('-')[0]}"
