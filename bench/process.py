"""What a process takes, as Linux says in ``/proc``."""

import os
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")

_SOCKET = "unix:///var/run/docker.sock"
_ENGINE_PID = Path("/var/run/docker.pid")

# Fields 14 and 15 of proc_pid_stat(5), counted after the name in brackets, which may hold spaces.
_USER, _SYSTEM = 11, 12


def resident_bytes(pid: int) -> int:
    """Return the process's memory that is not swapped out, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def cpu_seconds(pid: int) -> float:
    """Return the CPU time the process has taken since it began, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS


def engine_process() -> int | None:
    """Return the process id of this machine's Docker engine, None where that is not to be seen."""
    if os.environ.get("DOCKER_HOST", _SOCKET) != _SOCKET:
        return None
    with suppress(OSError, ValueError):
        pid = int(_ENGINE_PID.read_text())
        resident_bytes(pid)
        return pid
    return None
