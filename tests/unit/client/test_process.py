"""The command line as a process: signals, closed pipes, terminals, start-up."""

import contextlib
import os
import pty
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_client.group import COMMANDS
from ci_common.events import CompleteEvent, JobIdEvent, LogEvent, StatusEvent
from tests.unit.client.scripted_server import Script, answer, message, stream

JOB = "550e8400-e29b-41d4-a716-446655440000"
STARTED = (message(JobIdEvent(JOB), 0), message(LogEvent("running\n"), 8))
PASSED = message(CompleteEvent(success=True, exit_code=0, reason="passed"), 8)
PATIENCE = 30


@contextlib.contextmanager
def ci(
    *arguments: str, stderr: int = subprocess.PIPE, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "ci_client", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **environ},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def server_url(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_SERVER_URL", script.url)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, (err or b"").decode()


class TestCtrlC:
    def test_during_the_job_it_leaves_and_tells_the_way_back(
        self, script: Script, project: Path
    ) -> None:
        script.will(stream(*STARTED, ending="open"))
        with ci("submit", str(project)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"running\n"
            process.send_signal(signal.SIGINT)
            code, err = finish(process)
        assert code == 130
        assert f"left; the job goes on. Come back with: ci wait {JOB} --all" in err
        assert f"or stop it: ci cancel {JOB}" in err
        assert "Traceback" not in err

    def test_during_the_upload_nothing_was_submitted(self, script: Script, project: Path) -> None:
        (project / "big.bin").write_bytes(random.randbytes(20_000_000))
        script.refuse_bodies = True
        with ci("submit", str(project)) as process:
            assert script.upload_began.wait(PATIENCE)
            process.send_signal(signal.SIGINT)
            code, err = finish(process)
        assert (code, err) == (130, "stopped; nothing was submitted\n")

    def test_before_the_answer_it_does_not_claim_to_know(
        self, script: Script, project: Path
    ) -> None:
        script.will(stream(ending="open"))
        with ci("submit", str(project)) as process:
            script.wait_for_requests(1)
            process.send_signal(signal.SIGINT)
            code, err = finish(process)
        assert code == 130
        assert "before the server confirmed" in err
        assert "ci list" in err

    def test_a_second_one_ends_everything_at_once(self) -> None:
        program = """
import os, signal
from ci_client.interrupts import letting_go
from ci_client.terminal import Terminal
with letting_go(Terminal(), lambda: os.kill(os.getpid(), signal.SIGINT) or "not reached"):
    raise KeyboardInterrupt
"""
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE
        )
        assert (ended.returncode, ended.stderr) == (130, b"")

    def test_one_that_came_just_before_a_read_is_noticed_all_the_same(self) -> None:
        # The handler has run and the read begins: what the race leaves, without the race.
        program = """
import os, signal, sys
from ci_client.interrupts import letting_go
from ci_client.terminal import Terminal
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(1))
os.kill(os.getpid(), signal.SIGINT)
reading, _ = os.pipe()
with letting_go(Terminal(), lambda: "left"):
    def nudge(*_):
        if came:
            raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, nudge)
    os.read(reading, 1)
"""
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE
        )
        assert b"left" in ended.stderr

    @pytest.mark.parametrize("command", [("wait", "last"), ("logs", "last", "--follow")])
    def test_while_following_the_job_is_not_affected(
        self, script: Script, command: tuple[str, ...]
    ) -> None:
        log = [answer(b"", content_type="text/plain")] if command[0] == "logs" else []
        script.will(answer({"job_id": JOB}), *log, stream(*STARTED, ending="open"))
        with ci(*command) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"running\n"
            process.send_signal(signal.SIGINT)
            code, err = finish(process)
        assert code == 130
        assert "the job" in err
        assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_ends_it_quietly(script: Script, project: Path) -> None:
    lines = [message(LogEvent("x" * 60_000 + "\n"), number) for number in range(1, 200)]
    script.will(stream(STARTED[0], *lines, PASSED))
    with ci("submit", str(project)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(PATIENCE) == 141
    assert err.count(b"\n") == 1
    assert err.startswith(b"job ")


def test_output_is_passed_on_as_it_comes(script: Script, project: Path) -> None:
    script.will(stream(*STARTED, message(LogEvent("no newline"), 18), ending="open"))
    with ci("submit", str(project)) as process:
        assert process.stdout is not None
        assert process.stdout.read(len(b"running\nno newline")) == b"running\nno newline"
        script.released.set()


def test_on_a_terminal_the_queue_is_shown_and_wiped(script: Script, project: Path) -> None:
    script.will(
        stream(
            message(JobIdEvent(JOB), 0),
            message(StatusEvent(status="queued", position=3), 0),
            message(StatusEvent(status="queued", position=1), 0),
            message(StatusEvent(status="running"), 0),
            PASSED,
        )
    )
    master, slave = pty.openpty()
    with ci("submit", str(project), stderr=slave, TERM="xterm") as process:
        os.close(slave)
        shown = b"".join(read_terminal(master)).decode()
        assert process.wait(PATIENCE) == 0
    os.close(master)
    first, *rest = shown.split("\r\n")
    assert first.startswith(f"job {JOB}")
    assert rest[0].startswith(
        "\r\x1b[Kqueued, position 3\r\x1b[Kqueued, position 1\r\x1b[K\x1b[32m✓\x1b[0m "
    )


def read_terminal(master: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until its other side is closed."""
    with contextlib.suppress(OSError):  # EIO is how Linux says so
        while data := os.read(master, 4096):
            yield data


HEAVY = {
    "asyncio",
    "http.client",
    "httpx2",
    "msgspec",
    "pathspec",
    "ssl",
    "tomllib",
    "zipfile",
    "logging",
}
NEVER = {"rich", "pydantic", "litestar", "docker", "ci_server", "ci_common.jobs", "msgspec"}
NOT_TO_SUBMIT = {
    "anyio",
    "asyncio",
    "certifi",
    "concurrent.futures",
    "httpcore2",
    "httpx2",
    "idna",
    "logging",
    "pathspec",
    "tempfile",
    "traceback",
    "urllib.request",
}


def modules_after(*arguments: str) -> set[str]:
    program = (
        "import sys; from ci_client.group import run; run(sys.argv[1:]); "
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, timeout=PATIENCE
    )
    return set(ended.stderr.decode().splitlines())


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not modules_after(*arguments, "--help") & (HEAVY | NEVER)


def test_submitting_loads_nothing_of_the_server(script: Script, project: Path) -> None:
    script.will(stream(*STARTED, PASSED))
    loaded = modules_after("submit", str(project))
    assert "http.client" in loaded
    assert not loaded & (NEVER | NOT_TO_SUBMIT)


def test_leaving_does_not_look_through_all_modules_for_garbage() -> None:
    program = (
        "import atexit, gc, sys; from ci_client.cli import main; sys.argv = ['ci', '--version']; "
        "atexit.register(lambda: print(gc.get_freeze_count(), file=sys.stderr)); main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE)
    assert int(ended.stderr) > 1000


def test_completion_knows_the_commands() -> None:
    environ = {"_CI_COMPLETE": "bash_complete", "COMP_WORDS": "ci s", "COMP_CWORD": "1"}
    with ci(**environ) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == [b"plain,submit", b"plain,status", b"plain,serve"]
