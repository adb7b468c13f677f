"""A table that is drawn again in its place."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_client.terminal import Terminal

_UP = "\x1b[{}A"
_CLEAR_BELOW = "\r\x1b[J"


def can_redraw() -> bool:
    """Return whether stdout is a terminal on which lines can be drawn over."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Screen:
    """The lines at the end of a terminal. What does not fit is left out, and that is said."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Show ``lines`` in the place of those that were drawn before."""
        columns, rows = _size()
        shown = [line[: columns - 1] for line in lines]
        room = max(2, rows - 1)
        if len(shown) > room:
            left_out = len(shown) - room + 1
            shown = [*shown[: room - 1], f"… and {left_out:,} more"[: columns - 1]]
        up = _UP.format(self._drawn) if self._drawn else ""
        self._terminal.data(up + _CLEAR_BELOW + "".join(f"{line}\n" for line in shown))
        self._drawn = len(shown)


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24
    # A terminal that does not know its size says 0.
    return size.columns or 80, size.lines or 24
