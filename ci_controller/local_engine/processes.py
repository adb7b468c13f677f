"""Process groups that outlive us, and how to know one again.

A process id alone is not enough: ids are used again, and after a restart
another process may have the one we wrote down. The id together with the moment
the process began is.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STDERR = 2
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGINT)
"""Python ignores or handles these; what we start is to have the usual behaviour."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process as the machine lists it; one that has ``ended`` waits to be reaped."""

    began: str
    ended: bool


@dataclass(frozen=True, slots=True)
class GroupLeader:
    """The first process of a group; ``began`` tells it from a later one with the same id."""

    pid: int
    began: str

    def alive(self) -> bool:
        """Whether it still runs. A child of ours that has ended is reaped on the way."""
        found = look_up(self.pid)
        if found is None or found.began != self.began:
            return False
        if found.ended:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return not found.ended

    def kill_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, if it is still ours. Succeeds on what is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _inherited(*, but: int) -> list[int]:
    """Return the descriptors above standard error that a child would inherit.

    A server's listening socket is one, made so for its workers: a job that held
    it would keep the port taken after the server has gone.
    """
    found = []
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the listing's own, closed by now
            number = int(entry.name)
            if number > _STDERR and number != but and os.get_inheritable(number):
                found.append(number)
    return found


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: int,
    output: Path,
    errors: Path,
) -> GroupLeader:
    """Start a command as the leader of a session of its own, writing to two files.

    ``stdin`` is an open descriptor, which stays open here. Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(errors), flags, 0o600),
            *((os.POSIX_SPAWN_CLOSE, each) for each in _inherited(but=stdin)),
        ],
        setsid=True,
        setsigdef=_RESET_SIGNALS,
        setsigmask=(),
    )
    found = look_up(pid)
    return GroupLeader(pid, found.began if found else "")


def look_up(pid: int) -> ProcessStatus | None:
    """Return what the machine knows about a process, None if there is none of that id."""
    return _look_up_linux(pid) if _PROC.joinpath("self").exists() else _look_up_elsewhere(pid)


def _look_up_linux(pid: int) -> ProcessStatus | None:
    try:
        stat = _PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything, so count from behind it.
    state, *fields = stat.rpartition(")")[2].split()
    return ProcessStatus(began=f"{_boot_id()}:{fields[18]}", ended=state in "ZX")


@cache
def _boot_id() -> str:
    return _PROC.joinpath("sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _look_up_elsewhere(pid: int) -> ProcessStatus | None:
    """Ask ``ps``, where there is no ``/proc``."""
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, start = asked.stdout.strip().partition(" ")
    return ProcessStatus(began=start.strip(), ended=state.startswith("Z")) if state else None
