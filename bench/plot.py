"""The plot of ``docs/performance.md``: how much of its target each figure takes.

An SVG of a few lines each, the same for the same figures, with colours for a
light and a dark page.
"""

import math
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from bench.results import Entry, Row, TargetFigures

_WIDTH, _LABELS, _RIGHT = 1000, 480, 150
_TOP, _LINE, _BAR = 40, 24, 12
_LOW, _HIGH = 0.01, 10.0
"""The scale's ends, as shares of the target. It is logarithmic."""

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.mark { fill: #57606a }
.grid { stroke: #d0d7de }
.target { stroke: #24292f; stroke-width: 1.5 }
.reached { fill: #1a7f37 }
.missed { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .mark { fill: #8d96a0 }
  .grid { stroke: #30363d }
  .target { stroke: #e6edf3 }
  .reached { fill: #3fb950 }
  .missed { fill: #f0883e }
}
"""


def write_plot(path: Path, entries: Mapping[str, Entry]) -> None:
    """Draw every target that was measured."""
    targets = [
        (row, target) for entry in entries.values() for row in entry.rows for target in row.targets
    ]
    height = _TOP + _LINE * len(targets) + 10
    body = [*_scale(height), *(_bar(n, *each) for n, each in enumerate(targets))]
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        "<title>Each figure as a share of its target; left of the line is reached</title>\n"
        f"<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _x(share: float) -> float:
    inside = min(max(share, _LOW), _HIGH)
    place = math.log(inside / _LOW) / math.log(_HIGH / _LOW)
    return round(_LABELS + place * (_WIDTH - _LABELS - _RIGHT), 1)


def _scale(height: int) -> Iterable[str]:
    for share, label in ((0.01, "1 %"), (0.1, "10 %"), (1.0, "the target"), (10.0, "ten times")):
        x, kind = _x(share), "target" if share == 1 else "grid"
        yield f'<line class="{kind}" x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - 6}"/>'
        yield f'<text class="mark" x="{x}" y="{_TOP - 16}" text-anchor="middle">{label}</text>'


def _bar(number: int, row: Row, target: TargetFigures) -> str:
    y = _TOP + number * _LINE
    begin, end = _x(_LOW), _x(target.share)
    kind = "reached" if target.reached else "missed"
    label = f"{row.measure} ({target.wanted})"
    return (
        f'<text x="{_LABELS - 10}" y="{y + _BAR - 1}" text-anchor="end">{escape(label)}</text>\n'
        f'<rect class="{kind}" x="{begin}" y="{y}" width="{max(2.0, round(end - begin, 1))}" '
        f'height="{_BAR}" rx="2"/>\n'
        f'<text class="mark" x="{_WIDTH - _RIGHT + 10}" y="{y + _BAR - 1}">'
        f"{escape(target.found)}</text>"
    )
