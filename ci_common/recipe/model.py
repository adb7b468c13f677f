"""What it takes to run a project's tests."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_COMMAND: tuple[str, ...] = ("python", "-m", "pytest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A project's plan, as detected and as its own configuration overrides it.

    ``dependencies`` and ``project`` are shell commands, run in order in the
    project's folder by ``sh`` with ``errexit``: the first install what the
    project needs and read only ``dependency_files``; the second install the
    project itself. Besides what the image has they can call ``ci_pip``,
    ``ci_need`` and ``ci_venv`` of the job script. None as a value means: the
    server's default.
    """

    image: str | None = None
    dependencies: tuple[str, ...] = ()
    dependency_files: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    command: str | tuple[str, ...] = DEFAULT_COMMAND
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    """Seconds."""
    memory: int | None = None
    """Bytes."""
    cpus: float | None = None
    pids: int | None = None
    """Processes and threads."""
    disk: int | None = None
    """Bytes."""
    network: str | None = None
    """``bridge`` or ``none``."""
    artifacts: tuple[str, ...] = ()
    """Patterns of files below ``root`` that are kept with the job."""
    reports: tuple[str, ...] = ()
    """Patterns of JUnit XML files below ``root`` that are read beside what pytest says."""
    coverage: tuple[str, ...] = ()
    """Patterns of Cobertura XML files below ``root``; by default ``coverage.xml`` is looked for."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that the job is given in its environment; never their values."""
    path: tuple[str, ...] = ()
    """Folders below ``root`` that Python imports from, first ones first; ``.`` is ``root``."""
    root: str = ""
    """The project's folder inside the zip, ``""`` for its top."""
    notes: tuple[str, ...] = ()
    """What was found and how to override it: the first lines of the log."""

    @property
    def command_line(self) -> str:
        """The command as one shell string."""
        return self.command if isinstance(self.command, str) else shlex.join(self.command)

    @property
    def runs_pytest(self) -> bool:
        """Whether exit code 5 means that no tests were found."""
        words = self.command.split() if isinstance(self.command, str) else self.command
        return any(word == "pytest" or word.endswith("/pytest") for word in words)

    @property
    def leaves_results(self) -> bool:
        """Whether there may be something to collect when the command has ended."""
        return bool(self.artifacts or self.reports or self.coverage or self.runs_pytest)
