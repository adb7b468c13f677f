"""Sending a project and watching it: what ``ci submit`` and ``ci run`` have in common."""

from __future__ import annotations

import time

from ci_client.archive import project_zip
from ci_client.files import select_files, summary
from ci_client.project import project_name
from ci_client.suspects import warnings_about
from ci_client.upload import Submission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_client.events import Event
    from ci_client.files import Selection, SelectOptions
    from ci_client.session import Session
    from ci_client.terminal import Terminal
    from ci_client.watch import Watch

_PATIENCE = 1.0
"""Seconds before anything is said about progress."""
_REDRAW_EVERY = 0.1
_BAR = 24
_AT_ONCE = 1024 * 1024
"""Bytes of a project whose zip is made before it is sent: nothing is gained by doing both."""
_WORTH_A_MANIFEST = 256 * 1024
"""Bytes of a project that is sent whole in less time than it takes to find out what changed."""


class Progress:
    """A line about what takes long, redrawn now and then where it can be."""

    def __init__(self, terminal: Terminal, files: str) -> None:
        self._terminal = terminal
        self._files = files
        self._due = time.monotonic() + _PATIENCE
        self.uploaded = False
        """Whether the whole zip has gone out, so that the server may have it."""

    def packing(self, _name: str) -> None:
        """Say that files are being read."""
        self._draw(f"reading {self._files}")

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


class NoProgress:
    """Takes no interest in what takes long."""

    uploaded = False

    def packing(self, _name: str) -> None:
        """Files are being read."""

    def sending(self, _sent: int, _total: int) -> None:
        """So much has gone out."""


NO_PROGRESS = NoProgress()


class Project:
    """A folder that is about to be sent."""

    def __init__(
        self,
        directory: str,
        selection: Selection,
        command: tuple[str, ...] = (),
        progress: Progress | NoProgress = NO_PROGRESS,
        fields: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.directory = directory
        self.selection = selection
        self.command = command
        self.progress = progress
        self.fields = fields

    def submission(
        self, server: Session, environ: Mapping[str, str], warn: Callable[[str], None]
    ) -> Submission:
        """Return what is sent to ``server``, for ``with``; of a large project, what it lacks.

        Raises:
            InvalidRequest: there is nothing that can be read.

        """
        if self.selection.size < _WORTH_A_MANIFEST:
            return self.zip_submission(warn)
        from ci_client.tree_submission import TreeSource, TreeSubmission

        source = TreeSource(
            self.selection, server, environ, warn=warn, reading=self.progress.packing
        )
        found = source.manifest()
        if found is None:
            return self.zip_submission(warn)
        name, sending = project_name(self.directory), self.progress.sending
        return TreeSubmission(
            source,
            *found,
            project=name,
            command=self.command,
            progress=sending,
            options=self.fields,
        )

    def zip_submission(self, warn: Callable[[str], None]) -> Submission:
        """Return the project as a zip, for ``with``; a large one is made while it is sent."""
        zipped = project_zip(self.selection, warn=warn)
        if self.selection.size <= _AT_ONCE:
            zipped.whole()
        name = project_name(self.directory)
        sending = self.progress.sending
        return Submission(zipped, name, self.command, sending, options=self.fields)


def choose(
    terminal: Terminal,
    directory: str,
    options: SelectOptions,
    command: tuple[str, ...],
    fields: Sequence[tuple[str, str]] = (),
) -> Project:
    """Select the files, and warn of what may surprise. ``fields`` are the job's options.

    Raises:
        InvalidRequest: there is nothing to send.

    """
    selection = select_files(directory, options)
    for warning in (*selection.warnings, *warnings_about(selection)):
        terminal.warn(warning)
    progress = Progress(terminal, summary(selection))
    return Project(directory, selection, command, progress, fields)


def send(server: Session, submission: Submission, watch: Watch) -> Event:
    """Submit and show the job to its end; return the event ``complete``."""
    return watch.show(server.submit_streaming(submission))
