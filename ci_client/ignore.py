"""Ignore rules as git applies them: level by level, the deeper file first, the later line first.

A path is always looked at after its parents, and nothing below an ignored
folder is looked at at all. So a pattern counts only where it matches the path
itself; pathspec's own checks also let it match through a parent, which
differs from git as soon as a negated pattern is near
(``build/`` and ``!/src`` on ``src/build/``).
"""

from __future__ import annotations

import os
from functools import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re


class _Pattern:
    __slots__ = ("ignore", "regex")

    def __init__(self, regex: re.Pattern[str], ignore: bool) -> None:
        self.regex = regex
        self.ignore = ignore

    def matches(self, path: str) -> bool:
        # Anchored patterns must use up the path; the others (``*``, ``**/``)
        # are compiled to something that says yes to any last character.
        return bool(self.regex.fullmatch(path) or self.regex.search(path, len(path) - 1))


class IgnoreFile:
    """The text of one ignore file; ``base`` is its folder, ``""`` or ending in ``/``."""

    def __init__(self, base: str, text: str) -> None:
        self.base = base
        self.text = text

    @cached_property
    def _patterns(self) -> tuple[_Pattern, ...]:
        found = (_compile(line) for line in self.text.split("\n"))
        return tuple(pattern for pattern in found if pattern)[::-1]

    def verdict(self, path: str) -> bool | None:
        """Return whether ``path`` (folders end in ``/``) is ignored; None when no line fits."""
        relative = path[len(self.base) :]
        for pattern in self._patterns:
            if pattern.matches(relative):
                return pattern.ignore
        return None


def _compile(line: str) -> _Pattern | None:
    import re

    from pathspec import GitIgnoreSpec

    # An escaped slash is a slash to git, and a mistake to pathspec.
    line = re.sub(r"\\.", lambda pair: pair[0].replace("\\/", "/"), line.removesuffix("\r"))
    # "x/**" is about what is in x, not about x itself.
    if line.endswith("/**"):
        line += "/*"
    elif line.endswith("/**/"):
        line += "*/"
    try:
        (pattern,) = GitIgnoreSpec.from_lines([line]).patterns
    except ValueError:
        return None  # git takes a malformed line for one that matches nothing
    if pattern.include is None or pattern.regex is None:
        return None
    return _Pattern(pattern.regex, pattern.include)


def read_ignore_file(path: str, base: str) -> IgnoreFile | None:
    """Return the ignore file at ``path``; None when it is missing, no plain file or empty."""
    try:
        # git does not follow a symlink here either.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(
            descriptor, encoding="utf-8-sig", errors="surrogateescape", newline="\n"
        ) as file:
            text = file.read()
    except OSError:
        return None
    return IgnoreFile(base, text) if text.strip() else None


def ignored(files: tuple[IgnoreFile, ...], path: str) -> bool:
    """Return what the innermost of ``files`` says that knows ``path``; the outermost is first."""
    for file in reversed(files):
        verdict = file.verdict(path)
        if verdict is not None:
            return verdict
    return False


class TreeFilter:
    """One ignore file of the project's top folder, for paths that come in any order."""

    def __init__(self, file: IgnoreFile) -> None:
        self._file = file
        self._folders: dict[str, bool] = {"": False}

    def drops(self, path: str) -> bool:
        """Return whether the file at ``path`` is ignored, or lies in a folder that is."""
        return self._folder_dropped(path.rpartition("/")[0]) or bool(self._file.verdict(path))

    def _folder_dropped(self, folder: str) -> bool:
        if folder not in self._folders:
            parent = folder.rpartition("/")[0]
            self._folders[folder] = self._folder_dropped(parent) or bool(
                self._file.verdict(folder + "/")
            )
        return self._folders[folder]
