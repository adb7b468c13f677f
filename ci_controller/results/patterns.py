"""Patterns of files: ``*``, ``?`` and ``[…]`` within a name, ``**`` for any folders.

One that fits a folder means everything in it.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

_WILD = re.compile(r"[*?\[]")


class Patterns:
    """Several patterns; a file that one of them fits is meant. All are relative to one folder."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)
        self._compiled = [_compiled(pattern) for pattern in self._patterns]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._patterns)

    def fit(self, path: str) -> bool:
        """Return whether a file is meant."""
        return any(compiled.fullmatch(path) for compiled in self._compiled)

    def roots(self) -> Sequence[str]:
        """Return the paths below or at which all that is meant lies; ``""`` for anywhere."""
        return [_root(pattern) for pattern in self._patterns]


def outermost(paths: Iterable[str]) -> list[str]:
    """Return those of the paths that lie below no other of them, each once."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(not above or path == above or path.startswith(f"{above}/") for above in found):
            found.append(path)
    return found


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in {"", "."}]


def _root(pattern: str) -> str:
    plain = []
    for part in _parts(pattern):
        if _WILD.search(part):
            break
        plain.append(part)
    return "/".join(plain)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = _parts(pattern)
    pieces = ["(?:[^/]+/)*" if part == "**" else f"{_name(part)}/" for part in parts[:-1]]
    last = parts[-1] if parts else "**"
    pieces.append(".+" if last == "**" else f"{_name(last)}(?:/.+)?")
    return re.compile("".join(pieces), re.DOTALL)


def _name(part: str) -> str:
    """Return a name's pattern as a regular expression; a bracket that is not closed is text."""
    found, at = [], 0
    while at < len(part):
        char = part[at]
        at += 1
        end = part.find("]", at + 1) if char == "[" else -1
        if char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif end > 0:
            inner = part[at:end].replace("\\", "\\\\").replace("[", "\\[")
            negated = inner.startswith(("!", "^"))
            found.append(f"(?!/)[{'^' if negated else ''}{_safe(inner[negated:])}]")
            at = end + 1
        else:
            found.append(re.escape(char))
    return "".join(found)


def _safe(characters: str) -> str:
    # A range that runs backwards would be no expression; then its ends are meant themselves.
    def ordered(match: re.Match[str]) -> str:
        first, last = match[1], match[2]
        return f"{first}-{last}" if first <= last else f"{first}{last}\\-"

    return re.sub(r"([^\\])-([^\\])", ordered, characters)
