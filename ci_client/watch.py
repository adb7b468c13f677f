"""Showing a job's events to a person, or to a program."""

from __future__ import annotations

import time

from ci_common.errors import ServerUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ci_client.events import Event
    from ci_client.terminal import Terminal


class Watch:
    """Shows one job. ``as_json`` puts the events on stdout, else only the log goes there.

    ``about`` goes into the first line. ``back`` turns the job's id into the
    command that comes back to it; None when nothing does.
    """

    def __init__(
        self,
        terminal: Terminal,
        about: str,
        back: Callable[[str], str] | None,
        *,
        as_json: bool = False,
    ) -> None:
        self._terminal = terminal
        self._about = about
        self._back = back
        self.as_json = as_json
        self._said_queued = False
        self._waits = False
        self._began = time.monotonic()
        self.job_id: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the watch began."""
        return time.monotonic() - self._began

    @property
    def way_back(self) -> str | None:
        """What to tell someone who leaves, once there is a job to come back to."""
        if self.job_id is None or self._back is None:
            return None
        return f"the job goes on. Come back with: {self._back(self.job_id)}"

    def begin(self, job_id: str) -> None:
        """Say which job this is. Once."""
        if self.job_id is None:
            self.job_id = job_id
            import ci_client.verdict  # noqa: F401 -- now, as nobody should wait for it at the end

            back = f"come back: {self._back(job_id)}" if self._back else ""
            parts = [f"job {job_id}", self._about, back]
            self._terminal.note(" · ".join(filter(None, parts)))

    def show(self, events: Iterable[Event]) -> Event:
        """Show events as they come; return the last one, ``complete``.

        Raises:
            CIError: as the events do; with the way back as the hint when the
                server is lost.

        """
        event: Event = {}
        try:
            for event in events:
                self._show(event)
        except ServerUnreachable as error:
            error.hint = self.way_back or error.hint
            raise
        return event

    def _show(self, event: Event) -> None:
        if event["type"] == "job_id":
            self.begin(event["job_id"])
        if self.as_json:
            import json

            self._terminal.data(json.dumps(event, ensure_ascii=False) + "\n")
        elif event["type"] == "log":
            self._terminal.output(event["data"])
        if event["type"] == "status":
            self._show_status(event)

    def conclude(self, complete: Event, seconds: float | None, step: str, counts: str = "") -> None:
        """Say the last line; ``counts``: how many tests ended how, if that is known already."""
        from ci_client.verdict import verdict_line

        self._terminal.note(verdict_line(self._terminal, complete, seconds, step, counts))

    def _show_status(self, event: Event) -> None:
        self._show_waiting(event.get("waiting"))
        position = event.get("position")
        if event.get("status") != "queued" or not position:
            self._terminal.status("")
        elif self._terminal.live:
            self._terminal.status(f"queued, position {position}")
        elif position > 1 and not self._said_queued:
            self._said_queued = True
            self._terminal.note(f"queued, position {position}")

    def _show_waiting(self, waiting: str | None) -> None:
        if bool(waiting) != self._waits:
            self._waits = bool(waiting)
            from ci_client.terminal import printable

            over = "the engine answers again; the job goes on"
            self._terminal.note(printable(waiting) if waiting else over)
