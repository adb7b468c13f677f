"""The files of a folder that is no git work tree."""

from __future__ import annotations

import os

from ci_client.ignore import ignored, read_ignore_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci_client.ignore import IgnoreFile

VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".jj"})
_REGENERATED_FOLDERS = VERSION_CONTROL | {
    "__pycache__",
    ".eggs",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".venv",
    "node_modules",
}
_REGENERATED_FILES = (".pyc", ".pyo")


def is_virtual_environment(folder: str) -> bool:
    """Return whether ``folder`` holds a Python environment, which no other machine can use."""
    return os.path.lexists(f"{folder}/pyvenv.cfg") or os.path.isdir(f"{folder}/conda-meta")


class Walk:
    """Walks ``root``. Symlinks are listed, never followed.

    ``honour_gitignore`` leaves out what the ``.gitignore`` files say,
    ``everything`` lists all there is.
    """

    def __init__(
        self,
        root: str,
        warn: Callable[[str], None],
        *,
        honour_gitignore: bool = True,
        everything: bool = False,
    ) -> None:
        self.root = root
        self.warn = warn
        self.honour_gitignore = honour_gitignore
        self.everything = everything

    def names(self, folder: str = "", rules: tuple[IgnoreFile, ...] = ()) -> Iterator[str]:
        """Yield the names of all files below ``folder`` (``""`` or ending in ``/``)."""
        if self.honour_gitignore and not self.everything:
            found = read_ignore_file(f"{self.root}/{folder}.gitignore", folder)
            rules = (*rules, found) if found else rules
        for entry in self._scan(folder):
            name = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if self._enters(entry, name, rules):
                    yield from self.names(name + "/", rules)
            elif self.everything or not (
                entry.name.endswith(_REGENERATED_FILES) or ignored(rules, name)
            ):
                yield name

    def _enters(self, entry: os.DirEntry[str], name: str, rules: tuple[IgnoreFile, ...]) -> bool:
        if self.everything:
            return True
        return not (
            entry.name in _REGENERATED_FOLDERS
            or ignored(rules, name + "/")
            or is_virtual_environment(entry.path)
        )

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self.root}/{folder}") as entries:
                return list(entries)
        except OSError as error:
            self.warn(f"{folder or self.root} cannot be read and is left out: {error.strerror}")
            return []
