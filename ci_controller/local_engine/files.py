"""Files of an ended job's scratch folder, without a step out of it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ci_common.executor import FileVisitor, ProducedFile, ProducedKind

_PIECE = 256 * 1024


def visit_files(root: Path, path: str, visit: FileVisitor, *, most_bytes: int) -> bool:
    """Show what is at ``path`` below ``root``. False when there is more than ``most_bytes``."""
    top = root / path
    # A folder that the job replaced by a link must not lead anywhere else.
    if not top.parent.resolve().is_relative_to(root.resolve()):
        return True
    left = most_bytes
    for found in _walk(top):
        try:
            status = found.lstat()
        except OSError:
            continue
        left -= status.st_size if stat.S_ISREG(status.st_mode) else 0
        if left < 0:
            return False
        visit(_produced(found, found.relative_to(root).as_posix(), status))
    return True


def _walk(top: Path) -> Iterator[Path]:
    if top.is_symlink() or not top.is_dir():
        if os.path.lexists(top):
            yield top
        return
    for parent, folders, files in os.walk(top):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(parent, name)


def _produced(found: Path, path: str, status: os.stat_result) -> ProducedFile:
    kind = ProducedKind.OTHER
    if stat.S_ISREG(status.st_mode):
        kind = ProducedKind.FILE
    elif stat.S_ISLNK(status.st_mode):
        kind = ProducedKind.LINK
    return ProducedFile(
        path=path,
        kind=kind,
        size=status.st_size if kind is ProducedKind.FILE else 0,
        modified=max(0, int(status.st_mtime)),
        executable=bool(status.st_mode & 0o100),
        content=_content(found, status.st_size if kind is ProducedKind.FILE else 0),
    )


def _content(found: Path, left: int) -> Iterator[bytes]:
    if not left:
        return
    # Not to hang on a pipe that took the file's place meanwhile.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(found, flags)
    except OSError:
        return  # a process that has outlived its job took it away
    with os.fdopen(fd, "rb", buffering=0) as file:
        while left > 0 and (data := file.read(min(left, _PIECE))):
            left -= len(data)
            yield data
