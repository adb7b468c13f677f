"""The table of ``docs/performance.md``, written between two markers; the prose around stays."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.results import Entry, Machine, Row

BEGIN = "<!-- figures: begin (written by `make bench`) -->"
END = "<!-- figures: end -->"

_HEAD = (
    "| measure | Standby CI | beside it | ratio | target | reached |\n|---|---|---|---|---|---|\n"
)


def write_page(page: Path, entries: Mapping[str, Entry], plot: str) -> None:
    """Put the table, and a link to the ``plot`` beside it, between the page's markers.

    Raises:
        ValueError: the page has no such markers.

    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has not the lines {BEGIN!r} and {END!r}")
    image = f"![Each figure as a share of its target]({plot})"
    page.write_text(f"{before}{BEGIN}\n{table(entries)}\n\n{image}\n{END}{after}")


def table(entries: Mapping[str, Entry]) -> str:
    """Return a Markdown table of everything, and below it where and when that was measured."""
    lines = [line for name, entry in entries.items() for line in _lines(name, entry)]
    return _HEAD + "\n".join(lines) + "\n\n" + "\n".join(_machines(entries))


def _lines(name: str, entry: Entry) -> Iterator[str]:
    if entry.failure:
        yield _cells(f"`{name}`", f"not measured here: {entry.failure}", "", "", "", "")
    for row in entry.rows:
        yield _line(row)


def _line(row: Row) -> str:
    ours, *others = row.sides
    beside = [f"{each.name}: {each.shown}" for each in others] + row.remarks
    return _cells(
        row.measure,
        f"{ours.name}: {ours.shown}",
        _stacked(beside),
        _stacked(f"{ratio:.2f}" for ratio in row.ratios),
        _stacked(each.wanted for each in row.targets),
        _stacked(f"{'yes' if each.reached else '**no**'}: {each.found}" for each in row.targets),
    )


def _stacked(parts: Iterable[str]) -> str:
    return "<br>".join(parts)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _machines(entries: Mapping[str, Entry]) -> Iterator[str]:
    """Say what machine it was, once for all that ran on the same one on the same day."""
    found: dict[str, list[str]] = {}
    for name, entry in entries.items():
        found.setdefault(_described(entry.machine), []).append(name)
    for machine, names in found.items():
        loads = [entries[name].machine.load for name in names]
        load = f"load before each {min(loads):g} to {max(loads):g}"
        which = "" if len(found) == 1 else ", ".join(f"`{name}`" for name in names) + ": "
        yield f"{which}{machine}, {load}.\n"


def _described(machine: Machine) -> str:
    return (
        f"{machine.cores} cores, {machine.memory_gb} GB, {machine.system}, "
        f"Docker Engine {machine.engine}, Python {machine.python}, {machine.date.split()[0]}"
    )
