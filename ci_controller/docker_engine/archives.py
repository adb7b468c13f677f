"""Files of a container, out of the tar that the engine makes of them; nothing is unpacked.

The engine, not the job, writes the tar, of what it finds inside of the container's
root: a link that leads out of that leads nowhere.
"""

import tarfile
from collections.abc import Iterator
from contextlib import closing
from typing import IO, cast

from docker.errors import NotFound

from ci_common.errors import ContainerGone
from ci_common.executor import FileVisitor, ProducedFile, ProducedKind
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.faults import engine_unavailable, explanation
from ci_controller.docker_engine.feed_command import HOMES

_PIECE = 256 * 1024


def visit_archive(
    client: EngineClient, name: str, path: str, visit: FileVisitor, *, most_bytes: int
) -> bool:
    """Show what is at ``path`` below the folder that the container was fed into.

    False when there is more than ``most_bytes``. Raises what the SDK raises, and
    ``EngineUnavailable`` for a tar that breaks off.
    """
    for home in HOMES:
        try:
            response = client.open_archive(name, f"{home}/{path}".rstrip("/"))
        except NotFound as error:
            if "No such container" in explanation(error):
                raise ContainerGone(f"there is no container {name}") from error
            continue
        with closing(response):
            try:
                return _visit(cast("IO[bytes]", response.raw), path, visit, most_bytes)
            except tarfile.TarError as error:
                raise engine_unavailable(f"its archive of {path} broke off") from error
    return True


def _visit(stream: IO[bytes], path: str, visit: FileVisitor, most_bytes: int) -> bool:
    above = path.rpartition("/")[0]
    left = most_bytes
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_PIECE, errorlevel=0) as archive:
        for member in archive:
            left -= member.size
            if left < 0:
                # Whatever follows would have to be read through: a sparse file is sent whole.
                return False
            archive.members = []  # type: ignore[attr-defined] # else each that passed by would be remembered
            inside = _path_of(member.name, above, path)
            if inside is not None and not member.isdir():
                visit(_produced(archive, member, inside))
    return True


def _path_of(name: str, above: str, path: str) -> str | None:
    """Return where a member lies below the home, None for what would lie elsewhere."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return None
    below = "/".join(part for part in parts if part not in {"", "."})
    # Of the whole home the engine calls it by its own name.
    return f"{above}/{below}" if above else below if path else below.partition("/")[2]


def _produced(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> ProducedFile:
    kind = ProducedKind.OTHER
    if member.isreg():
        kind = ProducedKind.FILE
    elif member.issym():
        kind = ProducedKind.LINK
    return ProducedFile(
        path=path,
        kind=kind,
        size=member.size if kind is ProducedKind.FILE else 0,
        modified=max(0, int(member.mtime)),
        executable=bool(member.mode & 0o100),
        content=_content(archive, member),
    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member) if member.isreg() else None
    while file is not None and (data := file.read(_PIECE)):
        yield data
