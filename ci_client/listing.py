"""Watching a list of jobs: drawn again in place, or told change by change."""

from __future__ import annotations

import json

from ci_client.screen import Screen, can_redraw
from ci_client.terminal import printable
from ci_client.verdict import state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ci_client.terminal import Terminal

    Jobs = Sequence[Mapping[str, Any]]


class ListWatch:
    """Shows what a list of jobs has become since it was shown last.

    ``table`` makes lines of it, for a terminal. Else each change is a line:
    ``added``, ``changed``, or ``left`` when a job does not belong to the list
    any more; ``current`` returns how such a job is now. Of a ``full`` list a
    job that is gone may just have been pushed off its end, which is no change.
    """

    def __init__(
        self,
        terminal: Terminal,
        table: Callable[[Jobs], Sequence[str]],
        current: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        *,
        as_json: bool,
    ) -> None:
        self._terminal = terminal
        self._table = table
        self._current = current
        self._as_json = as_json
        self._screen = None if as_json or not can_redraw() else Screen(terminal)
        self._known: dict[str, Mapping[str, Any]] = {}

    def show(self, jobs: Jobs, *, full: bool = False) -> None:
        """Show the list as it is now, the newest first."""
        if self._screen is not None:
            self._screen.draw(self._table(jobs) or ["no jobs"])
            return
        now = {str(job["job_id"]): job for job in jobs}
        gone = [] if full else [job for key, job in self._known.items() if key not in now]
        for job in gone:
            self._tell("left", self._current(job))
        for job_id, job in reversed(now.items()):
            if job_id not in self._known:
                self._tell("added", job)
            elif self._known[job_id] != job:
                self._tell("changed", job)
        self._known = now

    def _tell(self, change: str, job: Mapping[str, Any]) -> None:
        if self._as_json:
            line = json.dumps({"change": change, "job": job}, ensure_ascii=False)
        else:
            cells = [str(job["job_id"]), state_of(job), printable(str(job.get("project") or ""))]
            line = "  ".join(cells).rstrip()
        self._terminal.data(line + "\n")
