"""Requirements as PEP 508 writes them, read just far enough to sort them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

LONGEST_LINE = 2000
"""No real requirement is longer; patterns are not tried on what is."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"\s*(?P<name>{_NAME})\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<rest>.*)", re.DOTALL
)
_AFTER_NAME = re.compile(r"(?:[(<>=!~;@,]|$)")
_ADDRESS = re.compile(r"(?:(?:git|hg|svn|bzr)\+\w+|https?)://", re.IGNORECASE)
_LOCAL = re.compile(r"\s*(?:\.{1,2}(?:[/\[\s;]|$)|/|file:|[A-Za-z]:[\\/])|.*@\s*file:")


@dataclass(frozen=True, slots=True)
class Requirement:
    """``text`` as it was written; ``name`` normalized; ``rest`` is version, address and marker."""

    text: str
    name: str
    extras: tuple[str, ...]
    rest: str


def parse_requirement(text: str) -> Requirement | None:
    """Return the requirement, None if it is not one (a path, an option, nonsense)."""
    match = _REQUIREMENT.fullmatch(text)
    if match is None or not _AFTER_NAME.match(match["rest"]):
        return None
    extras = tuple(
        normalize(extra) for extra in (match["extras"] or "").split(",") if extra.strip()
    )
    return Requirement(text.strip(), normalize(match["name"]), extras, match["rest"].strip())


def normalize(name: str) -> str:
    """Return a distribution's, extra's or group's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def is_local(text: str) -> bool:
    """Return whether a requirement is a path: ``.``, ``./lib``, ``file:…``, ``x @ file:…``."""
    return _LOCAL.match(text) is not None


def local_extras(text: str) -> tuple[str, ...] | None:
    """Return the extras of ``.[test]``, the project itself; None if it is something else."""
    match = re.fullmatch(r"\s*\.\s*(?:\[([^\]]*)\])?\s*(?:;.*)?", text)
    if match is None:
        return None
    return tuple(normalize(extra) for extra in (match[1] or "").split(",") if extra.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Something to install, as one source says it.

    ``requirements`` are PEP 508 texts; ``files`` and ``constraints`` paths for
    pip's ``-r`` and ``-c``; ``extras`` the project's own; ``groups`` its
    dependency groups; ``paths`` folders of the project to install.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.requirements, self.files, self.extras, self.groups, self.paths))

    def __add__(self, other: "Needs") -> "Needs":
        return union((self, other))

    def without(self, *names: str) -> "Needs":
        """Return these needs without requirements of the given normalized names."""
        kept = (text for text in self.requirements if _name_of(text) not in names)
        return replace(self, requirements=tuple(kept))


def union(parts: Iterable[Needs]) -> Needs:
    """Return all needs of all parts, each once, in the order they first come."""
    parts = tuple(parts)
    merged = {
        field.name: tuple(
            dict.fromkeys(item for part in parts for item in getattr(part, field.name))
        )
        for field in fields(Needs)
    }
    return Needs(**merged)


def _name_of(text: str) -> str:
    requirement = parse_requirement(text)
    return requirement.name if requirement else ""


def sort_out(lines: Iterable[str]) -> Needs:
    """Return what a list of requirements asks for; what is none of its kinds is left out."""
    return union(_sort_out_one(line.strip()) for line in lines if len(line) <= LONGEST_LINE)


def _sort_out_one(text: str) -> Needs:
    option = re.match(
        r"(?:-r|--requirement|-c|--constraint|-e|--editable)(?=[\s=.]|\w)[\s=]*", text
    )
    if option:
        value = text[option.end() :].strip()
        return _option(option[0].strip(" =\t"), value)
    extras = local_extras(text)
    if extras is not None:
        return Needs(extras=extras)
    if is_local(text):
        return Needs(paths=(text,))
    usable = parse_requirement(text) or _ADDRESS.match(text)
    return Needs(requirements=(text,)) if usable else Needs()


def _option(option: str, value: str) -> Needs:
    if option in ("-r", "--requirement"):
        return Needs(files=(plain_path(value),))
    if option in ("-c", "--constraint"):
        return Needs(constraints=(plain_path(value),))
    if _ADDRESS.match(value):
        return Needs(requirements=(value,))
    extras = local_extras(value)
    return Needs(paths=(value,)) if extras is None else Needs(extras=extras)


def plain_path(path: str) -> str:
    """Return a relative path without ``./`` and ``..`` in it, as names in a zip are written."""
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
