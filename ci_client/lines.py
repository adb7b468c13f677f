"""What may stand on the line of a command that has to start fast.

It is said here, and read in two ways: by ``Line.read``, which knows only lines
without a mistake and needs no library; and by click (``options.as_click``),
which knows all of them, prints help and tells what is wrong.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Flag:
    """An option without a value; the command's function gets it as ``parameter``."""

    def __init__(self, name: str, parameter: str, text: str) -> None:
        self.name = name
        self.parameter = parameter
        self.text = text


class Option:
    """An option with a value; one that may come several times is given as a tuple.

    ``name`` is one or more, separated by blanks: ``-o --artifact``.
    """

    def __init__(
        self, name: str, parameter: str, metavar: str, text: str, *, multiple: bool = False
    ) -> None:
        self.names = name.split()
        self.parameter = parameter
        self.metavar = metavar
        self.text = text
        self.multiple = multiple


class Place:
    """The one argument that is no option. Without a ``default`` it has to be given."""

    def __init__(
        self, parameter: str, metavar: str, *, default: str | None = None, folder: bool = False
    ) -> None:
        self.parameter = parameter
        self.metavar = metavar
        self.default = default
        self.folder = folder

    def fits(self, word: str) -> bool:
        """Return whether ``word`` can be meant; a folder is one that can be read."""
        return not self.folder or (os.path.isdir(word) and os.access(word, os.R_OK))


DIRECTORY = Place("directory", "[DIR]", default=".", folder=True)
JOB = Place("job", "JOB")

JSON = Flag("--json", "as_json", "One JSON object per line.")
PASSTHROUGH = Flag(
    "--passthrough-exit", "passthrough_exit", "Exit with the command's own exit code."
)
ORGANISATION = Option(
    "--org",
    "organisation",
    "NAME",
    "The organisation it is for. Default: CI_ORGANISATION, or as the project or you have set it.",
)
SELECTION = (
    Flag("--include-ignored", "include_ignored", "Send what git ignores, too."),
    Flag("--with-git", "with_git", "Send .git too."),
)


LIMITS = (
    Option("--timeout", "timeout", "TIME", "The time limit: seconds, or 10m."),
    Option("--memory", "memory", "SIZE", "The memory it gets, such as 2g."),
    Option("--cpus", "cpus", "N", "The CPU cores it gets, such as 0.5."),
    Option("--pids", "pids", "N", "The processes and threads it may have."),
    Option("--disk", "disk", "SIZE", "What it may write, where the engine can limit it."),
)
ARTIFACT = Option(
    "-o --artifact",
    "artifact",
    "PATTERN",
    "Keep files that the job leaves, such as htmlcov/**; repeatable.",
    multiple=True,
)
JOB_OPTIONS = (
    Option("--label", "label", "NAME[=VALUE]", "A label to find it by; repeatable.", multiple=True),
    Option("--submitter", "submitter", "NAME", "Who submits it. Default: the user's name."),
    Option("--priority", "priority", "N", "From -10 to 10; higher goes first. Default: 0."),
    Option("--queue-timeout", "queue_timeout", "TIME", "How long it may wait for its start."),
    Option("--group", "group", "NAME", "Its concurrency group within the project."),
    Option(
        "--group-policy",
        "group_policy",
        "POLICY",
        "What it does about others of its group: cancel_older (default), or queue.",
    ),
    *LIMITS,
)


def fields_in(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the form fields of what was given for ``JOB_OPTIONS``."""
    fields = []
    for name, value in options.items():
        several = value if isinstance(value, tuple) else (value,)
        fields += [(name, str(each)) for each in several if each is not None]
    return fields


class Line:
    """A command: what it is called with, and the function it calls.

    ``run`` is called with the invocation and the parameters by name, and
    returns the exit code; its docstring is the help. ``takes_command`` gives
    it ``command``, the words behind ``--``.
    """

    def __init__(
        self,
        run: Callable[..., int],
        place: Place,
        *options: Flag | Option,
        takes_command: bool = False,
    ) -> None:
        self.run = run
        self.place = place
        self.flags = [each for each in options if isinstance(each, Flag)]
        self.options = [each for each in options if isinstance(each, Option)]
        self.takes_command = takes_command

    def read(self, words: Sequence[str]) -> dict[str, object] | None:
        """Return the parameters in ``words``; None when there is anything unusual about them."""
        known = {flag.name: flag.parameter for flag in self.flags}
        parameters: dict[str, object] = dict.fromkeys(known.values(), False)
        parameters |= {each.parameter: () if each.multiple else None for each in self.options}
        options, places, behind = _sorted(words)
        # With a value there are too many ways to write it.
        if (behind is not None and not self.takes_command) or not known.keys() >= set(options):
            return None
        if self.takes_command:
            parameters["command"] = tuple(behind or ())
        for option in options:
            parameters[known[option]] = True
        if not places and self.place.default is not None:
            places = [self.place.default]
        if len(places) != 1 or not self.place.fits(places[0]):
            return None
        return {**parameters, self.place.parameter: places[0]}


def _sorted(words: Sequence[str]) -> tuple[list[str], list[str], list[str] | None]:
    """Return options, other words, and the words behind ``--`` (None if it is not there)."""
    before, behind = list(words), None
    if "--" in before:
        cut = before.index("--")
        before, behind = before[:cut], before[cut + 1 :]
    options = [word for word in before if word.startswith("-")]
    return options, [word for word in before if not word.startswith("-")], behind
