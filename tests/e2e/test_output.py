"""Output of every kind and length, on its way through server and client."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.memory import Meter, measured_ci, peak_in

pytestmark = pytest.mark.docker

LINE = 100_000_000
"""Bytes of the long line; decimal, as the job prints it."""

ROOM = 24 * 1024**2
"""Bytes a process may grow by while the line passes through it.

Its buffers hold 64 KiB to 256 KiB each, and with their JSON and what the
allocator keeps of them 4 MB were seen. Holding a quarter of the line is too much.
"""

ODD = rb"a\377b\000c" + rb"\r 10%%\r100%%\r\n" + rb"\303(\342\202\254\360\237\230\200 end\033[31m\n"
"""For printf: invalid UTF-8, NUL, a progress bar, a broken and whole characters, a colour."""
RAW = b"a\xffb\0c\r 10%\r100%\r\n\xc3(\xe2\x82\xac\xf0\x9f\x98\x80 end\x1b[31m\n"
SHOWN = "a\ufffdb\0c\r 10%\r100%\r\n\ufffd(€😀 end\x1b[31m\n"


def peak_of_ci(server, output: Path, *arguments: str) -> int:
    """Run ``ci`` to its end with its output in a file; return its peak in bytes."""
    status = output.with_suffix(".status")
    command = measured_ci(status, *arguments)
    with output.open("wb") as file:
        subprocess.run(command, env=server.environment(), stdout=file, timeout=120, check=True)
    return peak_in(status)


def peak_of_server(server) -> int:
    return Meter(server.process.pid).peak


def is_the_line(path: Path) -> bool:
    """Whether a file ends with the long line, and what the script said after it."""
    with path.open("rb") as file:
        file.seek(-(LINE + 5), os.SEEK_END)
        assert not file.read(LINE).strip(b"x")
        return file.read() == b"\ndone"


def test_one_line_of_100_mb(server, project, tmp_path):
    """Fault 33."""
    script = f"head -c {LINE} /dev/zero | tr '\\0' x\necho\nprintf done"
    made = project(script)
    small = peak_of_ci(server, tmp_path / "small", "submit", str(project("echo small").path))
    before = peak_of_server(server)
    submitted = peak_of_ci(server, tmp_path / "submitted", "submit", str(made.path))
    assert is_the_line(tmp_path / "submitted")
    printed = peak_of_ci(server, tmp_path / "printed", "logs", "last")
    assert is_the_line(tmp_path / "printed")
    tail = peak_of_ci(server, tmp_path / "tail", "logs", "last", "--tail", "2")
    assert is_the_line(tmp_path / "tail")
    assert peak_of_server(server) - before < ROOM
    assert max(submitted, printed, tail) - small < ROOM


def test_one_line_of_100_mb_that_is_read_again(server, engine, project):
    """Fault 33. After a crash the engine's own log is read from its start."""
    job_id = server.submit(project(f"head -c {LINE} /dev/zero | tr '\\0' x\necho\necho done"))
    server.until_log(job_id, "$ sh run.sh\n")
    server.kill()
    server.restart()
    before = peak_of_server(server)
    assert server.until(job_id, "completed")["success"] is True
    assert peak_of_server(server) - before < ROOM
    log = server.folder / "logs" / f"{job_id}.log"
    assert log.stat().st_size > LINE
    assert log.read_bytes().endswith(b"x" * LINE + b"\ndone\n")


def test_bytes_of_every_kind(server, project):
    """Fault 34. Kept in the log as they are, shown sanely where there must be text."""
    made = project(f"printf '{ODD.decode('ascii')}'")
    submitted = server.ci("submit", str(made.path))
    assert submitted.returncode == 0
    assert submitted.stdout.endswith(b"$ sh run.sh\n" + SHOWN.encode())
    job_id = server.job("last")["job_id"]
    log = (server.folder / "logs" / f"{job_id}.log").read_bytes()
    assert log.endswith(b"$ sh run.sh\n" + RAW)
    assert server.get(f"/jobs/{job_id}/log").content == log
    assert server.ci("logs", job_id).stdout == log
    assert server.ci("logs", job_id, "--tail", "1").stdout == RAW.splitlines(keepends=True)[-1]
    assert server.ci("wait", job_id, "--all").stdout == submitted.stdout


def test_bytes_of_every_kind_that_are_read_again(server, engine, project):
    """Fault 34. The engine gives them back as they were."""
    wait = "until [ -e /tmp/go ]; do sleep 0.05; done"
    job_id = server.submit(project(f"printf '{ODD.decode('ascii')}'\n{wait}\nprintf 'b\\000\\377'"))
    server.until_log(job_id, "end")
    server.kill()
    engine.go(job_id)
    server.restart()
    server.until(job_id, "completed")
    assert server.get(f"/jobs/{job_id}/log").content.endswith(RAW + b"b\0\xff")
