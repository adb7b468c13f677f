"""Which files of a project go up."""

from __future__ import annotations

import os
import stat
from itertools import chain

from ci_client.git_tree import GitTree
from ci_client.terminal import count, printable
from ci_client.walk import Walk
from ci_common.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CIIGNORE = ".ciignore"


class Entry:
    """A file or symlink. ``name`` is relative with ``/``; ``link`` the target of a symlink.

    ``stamp`` tells whether a file may have changed: inode, times of content and
    of status in nanoseconds, size.
    """

    __slots__ = ("executable", "link", "mtime", "name", "size", "stamp")

    def __init__(
        self,
        name: str,
        size: int,
        executable: bool,
        mtime: float,
        link: str | None = None,
        stamp: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        self.stamp = stamp
        self.name = name
        self.size = size
        self.executable = executable
        self.mtime = mtime
        self.link = link


class Selection:
    """What goes up, ordered by name. ``warnings`` say what was left out against expectation."""

    def __init__(self, root: str, entries: tuple[Entry, ...], warnings: tuple[str, ...]) -> None:
        self.root = root
        self.entries = entries
        self.warnings = warnings

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)


class SelectOptions:
    """``include_ignored``: also what git ignores. ``with_git``: also ``.git``."""

    def __init__(self, *, include_ignored: bool = False, with_git: bool = False) -> None:
        self.include_ignored = include_ignored
        self.with_git = with_git


def select_files(
    directory: str | os.PathLike[str], options: SelectOptions | None = None
) -> Selection:
    """Return what of ``directory`` goes up.

    Raises:
        InvalidRequest: it is no folder, or nothing of it would go up.

    """
    if not os.path.isdir(directory):
        raise InvalidRequest(
            f"{directory} is not a folder", hint="Name the project's folder: ci submit DIR"
        )
    selection = _Selector(os.path.realpath(directory), options or SelectOptions()).run()
    if not selection.entries:
        raise InvalidRequest(
            f"{directory} has no files to submit",
            hint="Files that git or .ciignore ignore do not count; `--include-ignored` takes "
            "what git ignores.",
        )
    return selection


class _Selector:
    def __init__(self, root: str, options: SelectOptions) -> None:
        self.root = root
        self.options = options
        self.warnings: list[str] = []
        self._seen: dict[str, os.stat_result] = {}

    def run(self) -> Selection:
        names = sorted(self._kept(dict.fromkeys(self._names())))
        entries = tuple(entry for name in names if (entry := self._entry(name)))
        return Selection(self.root, entries, tuple(self.warnings))

    def _names(self) -> Iterator[str]:
        top = self.root
        if self.options.with_git:
            yield from self._git_folder(top)
        if self.options.include_ignored:
            tracked = GitTree(self._warn, self._look).names(top, tracked_only=True)
            yield from chain(tracked or (), Walk(top, self._warn, honour_gitignore=False).names())
            return
        listed = list(GitTree(self._warn, self._look).names(top) or ())
        # Nothing listed: no work tree, or a folder that the tree around it ignores.
        yield from listed or Walk(top, self._warn).names()

    def _look(self, path: str) -> os.stat_result:
        # Each file is looked at once: that is most of the work in a large tree.
        status = self._seen[path] = os.lstat(path)
        return status

    def _git_folder(self, top: str) -> Iterator[str]:
        folder = f"{top}/.git"
        if os.path.isdir(folder):
            for name in Walk(folder, self._warn, everything=True).names():
                yield f".git/{name}"
            return
        what = "a pointer to another folder here" if os.path.lexists(folder) else "not in here"
        self._warn(f"--with-git: .git is {what}, so it does not go up")

    def _kept(self, names: Iterable[str]) -> Iterator[str]:
        """Yield what ``.ciignore`` leaves and is not reached through a symlink."""
        from ci_client.ignore import TreeFilter, read_ignore_file

        file = read_ignore_file(f"{self.root}/{CIIGNORE}", "")
        ciignore = TreeFilter(file) if file else None
        real_folders: dict[str, bool] = {"": True}
        for name in names:
            if not self._really_in(name.rpartition("/")[0], real_folders):
                continue
            if ciignore is None or not ciignore.drops(name):
                yield name

    def _really_in(self, folder: str, known: dict[str, bool]) -> bool:
        # git still lists what it tracked below a folder that has become a symlink.
        if folder not in known:
            parent = folder.rpartition("/")[0]
            known[folder] = self._really_in(parent, known) and not os.path.islink(
                f"{self.root}/{folder}"
            )
        return known[folder]

    def _entry(self, name: str) -> Entry | None:
        problem = _name_problem(name)
        if problem:
            self._leave_out(name, problem)
            return None
        path = f"{self.root}/{name}"
        try:
            status = self._seen.get(path) or os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                return self._link(name, os.readlink(path), status)
        except (FileNotFoundError, NotADirectoryError):
            return None  # deleted, though git still tracks it
        except OSError as error:
            self._leave_out(name, error.strerror or str(error))
            return None
        if stat.S_ISREG(status.st_mode):
            executable = bool(status.st_mode & 0o111)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            return Entry(name, status.st_size, executable, status.st_mtime, None, stamp)
        if not stat.S_ISDIR(status.st_mode):
            self._leave_out(name, "it is neither a file nor a symlink")
        return None

    def _link(self, name: str, target: str, status: os.stat_result) -> Entry | None:
        if leads_out(name, target):
            self._leave_out(name, f"it links out of the project, to {printable(target)}")
            return None
        problem = _name_problem(target)
        if problem:
            self._leave_out(name, f"of its target, {problem}")
            return None
        size = len(os.fsencode(target))
        return Entry(name, size, executable=False, mtime=status.st_mtime, link=target)

    def _leave_out(self, name: str, reason: str) -> None:
        self._warn(f"{printable(name)} is left out: {reason}")

    def _warn(self, text: str) -> None:
        self.warnings.append(text)


def leads_out(name: str, target: str) -> bool:
    """Return whether the symlink ``name`` points at something outside of the project."""
    return target.startswith("/") or os.path.normpath(f"{name}/../{target}").split("/")[0] == ".."


def _name_problem(name: str) -> str | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not valid UTF-8"
    return "the name has a backslash in it" if "\\" in name else None


def summary(selection: Selection) -> str:
    """Return how much goes up."""
    return f"{count(len(selection.entries), 'file')}, {selection.size / 1_000_000:,.1f} MB"
