"""Files that somebody is at work on: locked, in a way that ends with the process.

The lock belongs to the open file (``flock``), so it is seen by every process
of the machine, and by other users of the same process.
"""

import fcntl
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def new_held_file(folder: Path, *, prefix: str, suffix: str) -> tuple[io.FileIO, Path]:
    """Make a file for its owner only, held until it is closed. Raises ``OSError``."""
    while True:
        fd, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=suffix)
        file = io.FileIO(fd, "wb")
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return file, Path(name)
        file.close()  # a sweep had it before it was locked


def share_held_file(path: Path) -> io.FileIO:
    """Hold a file that is there, as others may do at the same time, until it is closed.

    Raises ``OSError``.
    """
    file = io.FileIO(path, "rb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_held(path: Path) -> bool:
    """Return whether anybody holds the file. What is gone is held by nobody."""
    with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        return not _lock(file)
    return False


def unlink_unless_held(path: Path) -> bool:
    """Delete the file if nobody holds it; return whether that was done."""
    with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        if _lock(file):
            path.unlink()
            return True
    return False


def _lock(file: io.FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
