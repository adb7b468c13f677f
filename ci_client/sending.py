"""Sending a project and watching it: what ``ci submit`` and ``ci run`` have in common."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ci_client.archive import pack
from ci_client.files import Selection, SelectOptions, select_files, summary
from ci_client.project import project_name
from ci_client.suspects import warnings_about
from ci_client.terminal import Terminal
from ci_client.upload import Submission
from ci_client.watch import Event, Watch

if TYPE_CHECKING:
    from ci_client.session import Session

_PATIENCE = 1.0
"""Seconds before anything is said about progress."""
_REDRAW_EVERY = 0.1
_BAR = 24


class Progress:
    """A line about what takes long, redrawn now and then where it can be."""

    def __init__(self, terminal: Terminal, files: str) -> None:
        self._terminal = terminal
        self._files = files
        self._due = time.monotonic() + _PATIENCE
        self.uploaded = False
        """Whether the whole zip has gone out, so that the server may have it."""

    def packing(self, _name: str) -> None:
        """Say that files are being packed."""
        self._draw(f"packing {self._files}")

    def sending(self, sent: int, total: int) -> None:
        """Say how much of the zip has gone out."""
        self.uploaded = sent >= total
        share = sent / total
        bar = ("#" * round(share * _BAR)).ljust(_BAR, "-")
        amount = f"{sent / 1e6:,.1f}/{total / 1e6:,.1f} MB"
        self._draw(f"uploading [{bar}] {share:4.0%}  {amount}")

    def _draw(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _REDRAW_EVERY
            self._terminal.status(text)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder that is about to be sent."""

    directory: Path
    selection: Selection
    command: tuple[str, ...]
    progress: Progress

    def pack(self, terminal: Terminal) -> IO[bytes]:
        """Return the zip, open; closing it deletes it."""
        return pack(self.selection, warn=terminal.warn, progress=self.progress.packing)

    def submission(self, archive: IO[bytes]) -> Submission:
        """Return what is sent."""
        name = project_name(self.directory)
        return Submission(archive, name, self.command, self.progress.sending)


def choose(
    terminal: Terminal, directory: Path, options: SelectOptions, command: tuple[str, ...]
) -> Project:
    """Select the files, and warn of what may surprise.

    Raises:
        InvalidRequest: there is nothing to send.

    """
    selection = select_files(directory, options)
    for warning in (*selection.warnings, *warnings_about(selection)):
        terminal.warn(warning)
    return Project(directory, selection, command, Progress(terminal, summary(selection)))


def send(server: "Session", submission: Submission, watch: Watch) -> Event:
    """Submit and show the job to its end; return the event ``complete``."""
    return watch.show(server.submit_streaming(submission))
