"""The scratch folder of one container: what it is, what it wrote, how it ended.

::

    <folder>/<name>/
        about.json   namespace, spec key, when it was made, the group's leader
        input        FIFO that carries the project
        output       standard output: the engine's own log
        errors       standard error, up to the job script's `exec 2>&1`
        exit         exit status, written once, when the main process has ended
        root/        the job's folder; home/ and tmp/ beside it
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ci_common.executor import ContainerExit
from ci_controller.local_engine.processes import GroupLeader, look_up

_KILLED = 137


class About(msgspec.Struct, frozen=True):
    """What is written down about a container when it is launched."""

    namespace: str
    key: str
    pid: int
    began: str


@dataclass(frozen=True, slots=True)
class ScratchFolder:
    """One container's folder. Reading what is not there raises FileNotFoundError."""

    path: Path

    @property
    def name(self) -> str:
        """The container's name."""
        return self.path.name

    @property
    def root(self) -> Path:
        """Where the project is unpacked and runs."""
        return self.path / "root"

    @property
    def home(self) -> Path:
        """The job's home folder."""
        return self.path / "home"

    @property
    def tmp(self) -> Path:
        """The job's folder for temporary files."""
        return self.path / "tmp"

    @property
    def input(self) -> Path:
        """The FIFO that the project comes through."""
        return self.path / "input"

    @property
    def output(self) -> Path:
        """Everything written to standard output."""
        return self.path / "output"

    @property
    def errors(self) -> Path:
        """Everything written to standard error."""
        return self.path / "errors"

    def create(self) -> None:
        """Make the folder with everything that must be there before the process starts."""
        self.path.mkdir(mode=0o700)
        for folder in (self.root, self.home, self.tmp):
            folder.mkdir()
        os.mkfifo(self.input, 0o600)

    def write_about(self, about: About) -> None:
        """Write down what the container is."""
        self._about.write_bytes(msgspec.json.encode(about))

    def about(self) -> About:
        """Return what was written down."""
        return msgspec.json.decode(self._about.read_bytes(), type=About)

    def leader(self) -> GroupLeader:
        """Return the leader of the container's process group."""
        about = self.about()
        return GroupLeader(about.pid, about.began)

    def created_at(self) -> datetime:
        """Return when the container was launched."""
        return datetime.fromtimestamp(self._about.stat().st_mtime, UTC)

    def ended(self) -> ContainerExit | None:
        """Return the recorded end, None while there is none."""
        try:
            status = self._exit.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        return ContainerExit(exit_code=int(status))

    def lives(self) -> bool:
        """Whether it has not recorded its end and its processes are still there."""
        return self.ended() is None and self.leader().alive()

    def record_kill(self) -> None:
        """Record that the whole group was killed, unless it had ended before."""
        fresh = self.path / f"exit.{os.getpid()}"
        fresh.write_text(f"{_KILLED}\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(fresh, self._exit)
        fresh.unlink()

    def delete(self) -> None:
        """Delete the folder; what a job made unwritable too."""
        for parent, folders, _ in os.walk(self.path):
            for folder in (Path(parent, name) for name in folders):
                if not folder.is_symlink():
                    with suppress(OSError):
                        folder.chmod(0o700)
        shutil.rmtree(self.path)

    @property
    def _about(self) -> Path:
        return self.path / "about.json"

    @property
    def _exit(self) -> Path:
        return self.path / "exit"


def scratch_folders(folder: Path, namespace: str) -> Iterator[ScratchFolder]:
    """Yield the containers of a namespace."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        scratch = ScratchFolder(path)
        # It may be removed while we look.
        with suppress(FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            if scratch.about().namespace == namespace:
                yield scratch


def hidden_place(folder: Path) -> Path:
    """Return a path for something that this process is making or deleting."""
    return folder / f".{os.getpid()}-{secrets.token_hex(8)}"


def sweep_leftovers(folder: Path) -> None:
    """Delete what processes that are no more were making or deleting."""
    for path in folder.glob(".*-*"):
        pid = path.name[1:].partition("-")[0]
        if pid.isdecimal() and look_up(int(pid)) is None:
            with suppress(OSError):
                ScratchFolder(path).delete()
