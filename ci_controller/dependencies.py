"""What installing a project's dependencies depends on: files it reads, and a key over all of it."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ci_common.access import NOBODYS
from ci_common.errors import InvalidArchive
from ci_common.executor import ContainerSpec
from ci_common.project_tree import open_project
from ci_common.project_zip import Entry, EntryKind, ProjectFiles
from ci_common.recipe import Recipe
from ci_common.snapshots import owned_key
from ci_controller.docker_engine.feed_command import HOMES
from ci_controller.workspace import WORKSPACE

_HOMES = tuple(f"{home}/{WORKSPACE}" for home in HOMES)
_INSTALLERS = ("PIP_", "UV_")


@dataclass(frozen=True, slots=True)
class DependencyFile:
    """A file that the installation reads; ``path`` is from the top of what was submitted."""

    path: str
    mode: int
    content: bytes


def dependency_files(
    zip_path: str, recipe: Recipe, env: Mapping[str, str]
) -> Sequence[DependencyFile] | None:
    """Return the files that ``recipe.dependencies`` read; None if that cannot be said.

    It cannot where one of them is a link or not there, and where a variable of
    ``env`` or of the recipe names something of the project, which pip or uv
    may then read. Reads from the disk.
    """
    wanted = [posixpath.join(recipe.root, name) for name in recipe.dependency_files]
    suspects = list(_named({**env, **recipe.env}, recipe.root))
    if not wanted and not suspects:
        return ()
    try:
        with open_project(zip_path) as (project, _):
            return _read(project, wanted, suspects)
    except (OSError, InvalidArchive):
        return None  # feeding it says why


def _read(
    project: ProjectFiles, wanted: Iterable[str], suspects: Iterable[tuple[str, bool]]
) -> Sequence[DependencyFile] | None:
    files = {entry.path: entry for entry in project.entries if entry.kind is EntryKind.FILE}
    folders = {"", *(path for path, _ in project.tree.folders())}
    links = {entry.path for entry in project.entries if entry.kind is EntryKind.LINK}
    for path, by_installer in suspects:
        if path in files or path in links or (by_installer and path in folders):
            return None
    if not files.keys() >= set(wanted):
        return None
    return [_file(project, files[path]) for path in sorted(set(wanted))]


def _file(project: ProjectFiles, entry: Entry) -> DependencyFile:
    return DependencyFile(entry.path, entry.mode, b"".join(project.content(entry)))


def _named(env: Mapping[str, str], root: str) -> Iterator[tuple[str, bool]]:
    """Yield the paths in the project that values would be, and whether an installer reads them."""
    for name, value in env.items():
        for word in re.split(r"[\s,=]+", value):
            path = word.removeprefix("file://")
            if not path or "://" in path:
                continue
            place = posixpath.normpath(posixpath.join(_HOMES[0], root, path))
            for home in _HOMES:
                if f"{place}/".startswith(f"{home}/"):
                    yield place[len(home) + 1 :], name.startswith(_INSTALLERS)


def snapshot_key(
    image_id: str,
    script: bytes,
    environment: bytes,
    spec: ContainerSpec,
    files: Iterable[DependencyFile],
    organisation: str = NOBODYS,
) -> str:
    """Return the key of an installation: all that its outcome depends on, and whose it is.

    Limits of memory and time are left out: they decide whether it succeeds,
    not what comes of it.
    """
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(b"%d:" % len(part) + part)

    for text in (image_id, spec.user or "", spec.network, str(spec.runtime), str(spec.cap_add)):
        add(text.encode())
    add(script)
    add(environment)
    for file in files:
        add(file.path.encode(errors="surrogateescape"))
        add(b"%o" % file.mode)
        add(file.content)
    if organisation != NOBODYS:
        add(organisation.encode())
    return owned_key(digest.hexdigest(), organisation)
