"""The files of a git work tree, as git itself lists them."""

from __future__ import annotations

import os
import stat

from ci_client.walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Set while git runs a hook; they would make git answer about another tree than the one we name.
_GIT_LOCALS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
)


class GitTree:
    """A folder inside a work tree, and the repositories nested in it."""

    def __init__(
        self, warn: Callable[[str], None], lstat: Callable[[str], os.stat_result] = os.lstat
    ) -> None:
        self.warn = warn
        self._lstat = lstat

    def names(self, folder: str, *, tracked_only: bool = False) -> Iterator[str] | None:
        """Yield the names, relative to ``folder``, of tracked files and of others not ignored.

        Tracked files that were deleted are among them. ``tracked_only``
        leaves the others out. None when ``folder`` is no work tree or git
        cannot tell.
        """
        listed = self._ls_files(folder, tracked_only=tracked_only)
        if listed is None:
            return None
        return self._files(folder, listed, tracked_only=tracked_only)

    def _files(self, folder: str, listed: list[str], *, tracked_only: bool) -> Iterator[str]:
        for name in listed:
            try:
                is_folder = stat.S_ISDIR(self._lstat(f"{folder}/{name}").st_mode)
            except OSError:
                is_folder = False
            if is_folder:
                yield from self._expand(folder, name, tracked_only=tracked_only)
            else:
                yield name

    def _expand(self, folder: str, name: str, *, tracked_only: bool) -> Iterator[str]:
        """Yield what is in the folder ``name`` when it is a nested repository."""
        path = f"{folder}/{name}".rstrip("/")
        if os.path.lexists(f"{path}/.git"):
            inner = self.names(path, tracked_only=tracked_only)
            prefix = name.rstrip("/") + "/"
            for below in Walk(path, self.warn).names() if inner is None else inner:
                yield prefix + below
        elif not os.listdir(path):
            self.warn(
                f"{name} is a submodule that is not checked out and goes up empty; "
                "`git submodule update --init` fetches it"
            )

    def _ls_files(self, folder: str, *, tracked_only: bool) -> list[str] | None:
        if not _may_be_work_tree(folder):
            return None
        import subprocess

        options = ["--cached"] if tracked_only else ["--cached", "--others", "--exclude-standard"]
        try:
            run = subprocess.run(
                ["git", "-C", folder, "ls-files", "-z", *options],
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        except FileNotFoundError:
            if os.path.lexists(f"{folder}/.git"):
                self.warn("git is not installed: the folder is walked by its .gitignore files")
            return None
        if run.returncode != 0:
            self._explain(run.stderr.decode(errors="replace"))
            return None
        return [os.fsdecode(name) for name in run.stdout.split(b"\0") if name]

    def _explain(self, complaint: str) -> None:
        outside = ("not a git repository", "must be run in a work tree")
        if not any(text in complaint for text in outside):
            first_line = complaint.strip().partition("\n")[0]
            self.warn(f"git cannot list this work tree, so the folder is walked ({first_line})")


def _may_be_work_tree(folder: str) -> bool:
    """Return whether a ``.git`` is in ``folder`` or above it; where none is, git need not start."""
    while not os.path.lexists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
    return True


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in _GIT_LOCALS}
    # Its messages are compared with English text, and listing must not wait for anybody's lock.
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
