"""Which of a zip's files say what the project needs, and where in the zip the project is."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_WANTED_FILES = 64
"""No project has this many files that matter here; a hostile zip might."""

MAX_WANTED_BYTES = 256 * 1024
"""How much of each wanted file counts; a longer one is cut there."""

_KNOWN = (
    "ci.toml",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "tox.toml",
    "noxfile.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    "hatch.toml",
    "uv.toml",
    "Pipfile",
    "PKG-INFO",
)
_MARKERS = frozenset(_KNOWN) | {"requirements.txt", "conftest.py", "manage.py"}
_REQUIREMENTS = re.compile(
    r"(?:.*[-_.])?(?:requirements?|reqs?|constraints?)(?:[-_.].*)?\.(?:txt|in)"
)
# Tells nearly every file of a large project to be of no interest, for a hundredth of the time.
_ENDINGS = (".txt", ".in", *(name.lower() for name in _KNOWN))
_FOLDERS = frozenset({"requirements", "requirement", "reqs"})
_NOT_A_PROJECT = frozenset({"docs", "lib", "src", "test", "testing", "tests"}) | _FOLDERS


def project_root(names: Iterable[str]) -> str:
    """Return the folder that holds all of a zip, as GitHub's archives have it, or ``""``.

    A lone top folder counts only if it looks like a project: ``tests/`` alone
    or a lone package is part of one.
    """
    paths = [name for name in names if not _is_litter(name)]
    tops = {name.partition("/")[0] for name in paths}
    if len(tops) != 1 or any("/" not in name for name in paths):
        return ""
    top = tops.pop()
    inside = {name.split("/")[1] for name in paths}
    if _MARKERS & inside:
        return top
    return "" if "__init__.py" in inside or top.lower() in _NOT_A_PROJECT or not top else top


def wanted_files(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names detection wants to read, most telling first, ``MAX_WANTED_FILES`` at most.

    The caller reads them, or at least ``MAX_WANTED_BYTES`` of each, and hands
    them to ``detect``.
    """
    names = set(names)
    prefix = _prefix(project_root(names))
    inside = {
        name: PurePosixPath(name.removeprefix(prefix))
        for name in names
        if name.startswith(prefix) and name.lower().endswith(_ENDINGS)
    }
    wanted = [name for name, path in inside.items() if _is_wanted(path)]
    wanted.sort(key=lambda name: _importance(inside[name]))
    return tuple(wanted[:MAX_WANTED_FILES])


def is_requirements_file(path: PurePosixPath) -> bool:
    """Return whether a path is named as files of requirements or constraints are."""
    if path.parent.name.lower() in _FOLDERS and path.suffix in {".txt", ".in"}:
        return True
    return _REQUIREMENTS.fullmatch(path.name.lower()) is not None


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store"


def _prefix(root: str) -> str:
    return f"{root}/" if root else ""


def _is_wanted(path: PurePosixPath) -> bool:
    depth = len(path.parts)
    if depth == 1 and path.name in _KNOWN:
        return True
    # tests/requirements/base.txt is the deepest that projects use.
    in_folder = path.parent.name.lower() in _FOLDERS
    return depth <= (3 if in_folder else 2) and is_requirements_file(path)


def _importance(path: PurePosixPath) -> tuple[int, int, str]:
    known = _KNOWN.index(path.name) if str(path) in _KNOWN else len(_KNOWN)
    return known, len(path.parts), str(path)


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """A project's file names and what was read of them, both relative to its own folder."""

    names: frozenset[str]
    contents: Mapping[str, bytes]
    folders: frozenset[str]

    def text(self, name: str) -> str | None:
        """Return a file as text, whatever its bytes; None if it was not read."""
        data = self.contents.get(name)
        return None if data is None else _decode(data)

    def is_whole(self, name: str) -> bool:
        """Return whether all of a file was read."""
        return len(self.contents.get(name, b"")) < MAX_WANTED_BYTES and name in self.contents


def open_project(names: Collection[str], files: Mapping[str, bytes], root: str) -> ProjectFiles:
    """Return the view of a zip as seen from the project's folder."""
    prefix = _prefix(root)
    inside = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    contents = {
        name.removeprefix(prefix): data[:MAX_WANTED_BYTES]
        for name, data in files.items()
        if name.startswith(prefix)
    }
    every = frozenset(
        name for name in (*inside, *contents) if name.strip("./") or PurePosixPath(name).name
    )
    contents = {name: data for name, data in contents.items() if name in every}
    # Many files share a folder: each is looked at once.
    direct = {name.rstrip("/").rpartition("/")[0] for name in every}
    above = [PurePosixPath(folder) for folder in direct]
    folders = frozenset(str(folder) for path in above for folder in (path, *path.parents))
    return ProjectFiles(every, contents, folders)


def _decode(data: bytes) -> str:
    # Windows' shells redirect `pip freeze` into UTF-16; pip reads that, and so do we.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")
