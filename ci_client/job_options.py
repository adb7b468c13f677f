"""What a submission says of its job, as form fields; the server checks it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Option = str | int | float | None
Fields = list[tuple[str, str]]

NAMES = (
    "submitter",
    "priority",
    "timeout",
    "memory",
    "cpus",
    "pids",
    "disk",
    "queue_timeout",
    "group",
    "group_policy",
)


def fields_of(
    options: Mapping[str, Option], labels: Mapping[str, str] | Sequence[str] = ()
) -> Fields:
    """Return the form fields of options; ``labels`` are ``NAME=VALUE``, or a mapping.

    Raises:
        TypeError: there is no such option.

    """
    unknown = options.keys() - set(NAMES)
    if unknown:
        raise TypeError(f"there is no option {min(unknown)!r}; there are {', '.join(NAMES)}")
    given = [(name, str(value)) for name, value in options.items() if value not in (None, "")]
    items = getattr(labels, "items", None)
    if items is not None:
        labels = [f"{name}={value}" if value else name for name, value in items()]
    return [*given, *(("label", label) for label in labels)]


def with_defaults(fields: Fields, directory: str, environ: Mapping[str, str]) -> Fields:
    """Return ``fields`` with who submits and from which branch, unless they say so."""
    names = {name for name, _ in fields}
    labels = {value.partition("=")[0].strip() for name, value in fields if name == "label"}
    user = "" if "submitter" in names else user_name(environ)
    branch = "" if "branch" in labels else git_branch(directory)
    more = [("submitter", user)] if user else []
    return [*fields, *more, *([("label", f"branch={branch}")] if branch else [])]


def user_name(environ: Mapping[str, str]) -> str:
    """Return the name of the user, ``""`` if there is none that can be said."""
    name = environ.get("LOGNAME") or environ.get("USER") or ""
    if not name:
        import pwd

        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return ""
    return name if name.isprintable() and len(name) <= 200 else ""


def git_branch(directory: str) -> str:
    """Return the branch that is checked out around ``directory``, ``""`` if none is."""
    folder, below = os.path.realpath(directory), ""
    while folder != below:
        head = _head(os.path.join(folder, ".git"))
        if head is not None:
            branch = head.removeprefix("ref: refs/heads/").strip()
            fits = branch != head.strip() and branch.isprintable() and len(branch) <= 255
            return branch if fits else ""
        folder, below = os.path.dirname(folder), folder
    return ""


def _head(git: str) -> str | None:
    """Return what the HEAD of a work tree says; None if ``git`` is not there."""
    try:
        if os.path.isfile(git):  # of a further work tree, or a submodule: it says where
            with open(git, encoding="utf-8") as file:
                place = file.read().removeprefix("gitdir:").strip()
            git = os.path.join(os.path.dirname(git), place)
        with open(os.path.join(git, "HEAD"), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return None
