"""Small disks of one's own, to be filled to the last byte: ext4 in a file, mounted by loop."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.waiting import eventually

MIB = 1024 * 1024
_STEPS = (MIB, 64 * 1024, 4096, 1)


class SmallDisk:
    """A mounted file system, and a file that takes its room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.filler = path / "filler"

    @property
    def free(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def leave(self, free: int) -> None:
        """Take so much that about ``free`` bytes are left."""
        self.clear()
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free - free)

    def fill(self) -> None:
        """Take everything: not one byte more can be written."""
        with self.filler.open("ab", buffering=0) as file:
            for step in _STEPS:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(os.urandom(step))
            os.fsync(file.fileno())

    def clear(self) -> None:
        """Give the room back."""
        self.filler.unlink(missing_ok=True)

    def takes_no_more(self) -> bool:
        """Whether even a small new file does not fit."""
        probe = self.path / "probe"
        try:
            probe.write_bytes(b"x" * 8192)
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            probe.unlink(missing_ok=True)
        return False


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of ``size`` bytes below ``folder`` for the length of a ``with`` block."""
    image, mounted = folder / "disk.img", folder / "disk"
    with image.open("wb") as file:
        file.truncate(size)
    # No room that only root may use, and little that the file system wants for itself.
    options = ["-q", "-m", "0", "-O", "^resize_inode", "-J", "size=4"]
    _run("mkfs.ext4", *options, str(image))
    mounted.mkdir()
    _run("mount", "-o", "loop", str(image), str(mounted))
    try:
        yield SmallDisk(mounted)
    finally:
        # What has just ended may still have its working directory there.
        eventually(lambda: _unmounted(mounted), what=f"{mounted} is unmounted")
        # Somebody who is just making a mount namespace of his own may have a copy of it.
        eventually(lambda: _removed(mounted), what=f"{mounted} is removed")
        image.unlink()


def require_mounting() -> None:
    """Skip the test where nothing can be mounted; on CI that is a failure."""
    problem = mounting_problem()
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true asks for tests on small disks, but {problem}", pytrace=False)
    if problem:
        pytest.skip(problem)


@cache
def mounting_problem() -> str | None:
    """Return why nothing can be mounted here, None if it can."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), 16 * MIB):
                return None
        except (OSError, subprocess.CalledProcessError) as error:
            output = getattr(error, "stderr", None) or b""
            return f"no disk can be mounted: {error} {output.decode(errors='replace').strip()}"


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})


def _unmounted(path: Path) -> bool:
    return subprocess.run(["umount", str(path)], capture_output=True).returncode == 0


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return False
    return True
