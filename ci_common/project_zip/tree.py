"""What the entries of a zip would make together: folders, and what links lead to."""

from collections.abc import Iterator

from ci_common.errors import InvalidArchive
from ci_common.project_zip.directory import Entry, EntryKind
from ci_common.project_zip.end_record import too_many_files
from ci_common.project_zip.limits import ZipLimits
from ci_common.project_zip.names import quoted

MAX_TARGET_BYTES = 4000
"""Longest target of a symbolic link: as long as the longest path."""

_MAX_HOPS = 40
"""Links the Linux kernel follows in one path before it gives up."""

_MAX_WALKED_BYTES = 8 * 1024**2
"""Path text walked to follow all links of a zip, chains included: about a second of work."""


class Folder:
    """A folder and what is in it; ``entry`` is None when only paths imply it."""

    __slots__ = ("children", "entry")

    def __init__(self) -> None:
        self.children: dict[str, Folder | Entry] = {}
        self.entry: Entry | None = None


class Tree:
    """The project as a tree. Entries are added one by one; each must fit those before it."""

    def __init__(self, limits: ZipLimits) -> None:
        self.root = Folder()
        self.targets: dict[str, bytes] = {}
        """What each symbolic link says, by the link's path."""
        self._limits = limits
        self._count = 0
        self._last: tuple[str, Folder] = ("", self.root)
        self._walk_left = _MAX_WALKED_BYTES

    def add(self, entry: Entry) -> None:
        """Take an entry in.

        Raises:
            InvalidArchive: its path is taken, leads through a file or a link, or
                there are more than ``max_files``.

        """
        if entry.kind is EntryKind.FOLDER:
            folder = self._folder(entry.path)
            if folder.entry is not None:
                raise _duplicate(entry)
            folder.entry = entry
            return
        parent, _, name = entry.path.rpartition("/")
        if not name:
            raise InvalidArchive("the zip holds a file without a name")
        siblings = self._folder(parent).children
        taken = siblings.get(name)
        if isinstance(taken, Folder):
            raise _both(entry.path)
        if taken is not None:
            raise _duplicate(entry)
        self._count_one()
        siblings[name] = entry

    def add_target(self, link: Entry, target: bytes) -> None:
        """Note what a link says.

        Raises:
            InvalidArchive: it says nothing, an absolute path, or there is too much to follow.

        """
        if not target or b"\0" in target:
            raise InvalidArchive(f"the symbolic link {quoted(link.path)} says no path")
        if target.startswith(b"/"):
            raise InvalidArchive(
                f"the symbolic link {quoted(link.path)} has the absolute target"
                f" {quoted(target.decode(errors='replace'))}",
                hint="A link must be relative and stay inside the project.",
            )
        self._spend(link.path)
        self._spend(target)
        self.targets[link.path] = target

    def resolve(self, link: Entry) -> Folder | Entry | None:
        """Return what a link leads to in the end, None where nothing is there.

        Where a path goes on past what is missing or is a file, its parts count
        as folders: whatever a job puts there, the link stays inside.

        Raises:
            InvalidArchive: it leads out of the project, or round and round.

        """
        trail: list[Folder | Entry | None] = [self.root]
        todo = _parts(self.targets[link.path]) + link.path.split("/")[-2::-1]
        hops = 1
        while todo:
            part = todo.pop()
            if part == "..":
                trail.pop()
                if not trail:
                    raise _escapes(link, self.targets[link.path])
                continue
            here = trail[-1]
            found = here.children.get(part) if isinstance(here, Folder) else None
            if isinstance(found, Entry) and found.kind is EntryKind.LINK:
                hops += 1
                if hops > _MAX_HOPS:
                    raise _circular(link)
                self._spend(self.targets[found.path])
                todo += _parts(self.targets[found.path])
            else:
                trail.append(found)
        return trail[-1]

    def file_behind(self, entry: Entry) -> Entry | None:
        """Return the file an entry is or leads to, None for anything else."""
        found = self.resolve(entry) if entry.kind is EntryKind.LINK else entry
        return found if isinstance(found, Entry) and found.kind is EntryKind.FILE else None

    def folders(self) -> Iterator[tuple[str, Folder]]:
        """Yield every folder but the root with its path, each after the one it is in."""
        waiting = [("", self.root)]
        while waiting:
            prefix, folder = waiting.pop()
            for name, child in folder.children.items():
                if isinstance(child, Folder):
                    yield prefix + name, child
                    waiting.append((f"{prefix}{name}/", child))

    def _folder(self, path: str) -> Folder:
        """Return the folder at ``path``, made if need be."""
        # Zips list a folder's files together.
        if path == self._last[0]:
            return self._last[1]
        folder = self.root
        for part in path.split("/") if path else ():
            child = folder.children.get(part)
            if child is None:
                self._count_one()
                child = folder.children[part] = Folder()
            elif not isinstance(child, Folder):
                raise _both(child.path)
            folder = child
        self._last = (path, folder)
        return folder

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.max_files:
            raise too_many_files(self._limits)

    def _spend(self, text: bytes | str) -> None:
        self._walk_left -= len(text)
        if self._walk_left < 0:
            raise InvalidArchive(
                "the symbolic links are too many and too long to follow",
                hint="Leave out what the tests do not need.",
            )


def _parts(target: bytes) -> list[str]:
    """Return a target's parts, the first one last, without those that lead nowhere."""
    # A target that is not UTF-8 must fit no entry, not fail.
    text = target.decode(errors="surrogateescape")
    return [part for part in reversed(text.split("/")) if part not in {"", "."}]


def _duplicate(entry: Entry) -> InvalidArchive:
    return InvalidArchive(
        f"{quoted(entry.path)} is in the zip more than once", hint="Make the zip afresh."
    )


def _both(path: str) -> InvalidArchive:
    return InvalidArchive(
        f"{quoted(path)} is a file or a link, and a folder with files in it",
        hint="Make the zip afresh.",
    )


def _escapes(link: Entry, target: bytes) -> InvalidArchive:
    return InvalidArchive(
        f"the symbolic link {quoted(link.path)} leads out of the project"
        f" ({quoted(target.decode(errors='replace'))})",
        hint="Put what it points to into the project, or leave the link out.",
    )


def _circular(link: Entry) -> InvalidArchive:
    return InvalidArchive(
        f"the symbolic link {quoted(link.path)} goes in circles, or through more than"
        f" {_MAX_HOPS} links",
        hint="Leave the link out.",
    )
