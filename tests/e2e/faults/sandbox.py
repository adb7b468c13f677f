"""A machine within the machine: processes and mounts of a test's own, gone at one blow.

A sandbox has its own mount, network and process namespaces. Its first process
dies with the test's process, and with it all that runs or is mounted inside,
so nothing is left behind even when the tests themselves are killed.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import eventually

PROGRAMS = ("docker-init", "ip", "mkfs.ext4", "mount", "nsenter", "setpriv", "unshare")

# `_IOR('X', 125, __u32)`: the file system ends at once, as when the power goes.
_EXT4_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_THE_JOURNAL = 2

_CGROUPS = Path("/sys/fs/cgroup")


def problem(*programs: str) -> str | None:
    """Return why sandboxes cannot be made here, None if they can."""
    if os.geteuid() != 0:
        return "namespaces, mounts and cgroups need root"
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = [name for name in (*PROGRAMS, *programs) if not shutil.which(name, path=path)]
    return f"not installed here: {', '.join(missing)}" if missing else None


class Sandbox:
    """See the module. ``power_off`` is what its name says; ``power_on`` begins anew."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None
        self.init = 0

    def power_on(self) -> "Sandbox":
        """Have namespaces, with nothing running and nothing mounted in them."""
        first = ["docker-init", "--", "sleep", "infinity"]
        names = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *names, *first],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.init = eventually(lambda: _child_named(self._holder.pid, "docker-init"), what="a room")
        self.run("ip", "link", "set", "lo", "up")
        return self

    def power_off(self) -> None:
        """End every process inside at one moment, and with them all mounts. Idempotent."""
        if self._holder is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, 9)
            self._holder.wait()
            self._holder = None

    def entering(self, *namespaces: str) -> list[str]:
        """Return what to put before a command for it to run in these of our namespaces."""
        return ["nsenter", f"--target={self.init}", *(f"--{name}" for name in namespaces), "--"]

    def run(self, *command: str) -> None:
        """Run a command inside to its end."""
        subprocess.run(
            [*self.entering("mount", "net", "pid"), *command], check=True, capture_output=True
        )

    def path(self, inside: Path) -> Path:
        """Return where a path of the sandbox is found from outside."""
        return Path(f"/proc/{self.init}/root{inside}")

    def mount(self, image: Path, at: Path) -> None:
        """Mount a file system that lies in a file."""
        self.run("mount", "-o", "loop", str(image), str(at))

    def cut_the_power_of(self, mounted: Path) -> None:
        """Keep a file system from writing one more byte, wherever it is with its work."""
        folder = os.open(self.path(mounted), os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, struct.pack("I", _WITHOUT_THE_JOURNAL))
        finally:
            os.close(folder)


def make_file_system(image: Path, size: int) -> Path:
    """Make a file that holds an empty file system of ``size`` bytes."""
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    return image


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill a file system with one file until ``leave`` bytes are left; return the file."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
                file.flush()
        if leave:
            file.seek(0, os.SEEK_END)
            file.truncate(file.tell() - leave)
    return ballast


@contextlib.contextmanager
def memory_limit(name: str, limit: int) -> Iterator[list[str]]:
    """Yield what to put before a command for it to get at most ``limit`` bytes of memory.

    What needs more is killed.
    """
    version1 = (_CGROUPS / "memory").is_dir()
    group = (_CGROUPS / "memory" if version1 else _CGROUPS) / f"ci-test-{name}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if version1 else "memory.max")).write_text(str(limit))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
    finally:
        remove_cgroups(group.name)


def remove_cgroups(name: str) -> None:
    """Remove the groups of that name, which hold no process any more, and those below them."""
    for parent in (_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir())):
        folders = [Path(folder) for folder, *_ in os.walk(parent / name, topdown=False)]
        for folder in folders:
            eventually(lambda folder=folder: _removed(folder), what=f"{folder} is removed")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # the kernel has not yet buried the last process
        return False
    return True


def _child_named(pid: int, name: str) -> int | None:
    from tests.e2e.harness import children

    for child in children(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                return child
    return None
