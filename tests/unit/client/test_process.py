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

from ci_client.commands import COMMANDS
from ci_client.config import credentials_file
from ci_client.credentials import Credentials
from ci_common import __version__
from ci_common.api_keys import new_key
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
    "ci_client.tree_submission",
    "argparse",
    "asyncio",
    "base64",
    "click",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "email",
    "hashlib",
    "http",
    "inspect",
    "ipaddress",
    "logging",
    "pathlib",
    "pathspec",
    "random",
    "ssl",
    "tempfile",
    "traceback",
    "typing",
    "urllib",
    "zipfile",
}
ONLY_AFTER_THE_REQUEST = {"json", "re", "shlex", "ci_client.exits", "ci_client.verdict"}


def modules_after(*arguments: str) -> list[str]:
    """The modules that a call imports, in the order in which it asks for them."""
    program = (
        "import sys; before = set(sys.modules); "
        "from ci_client.dispatch import run; run(sys.argv[1:]); "
        "print(*(name for name in sys.modules if name not in before), sep='\\n', file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, timeout=PATIENCE
    )
    return ended.stderr.decode().splitlines()


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not set(modules_after(*arguments, "--help")) & (HEAVY | NEVER)


@pytest.mark.parametrize("options", [[], ["--async"], ["--json", "--", "true"]])
def test_submitting_loads_little_and_before_the_request_less(
    script: Script, project: Path, options: list[str]
) -> None:
    accepted = answer({"job_id": JOB})
    script.will(accepted if "--async" in options else stream(*STARTED, PASSED))
    loaded = modules_after("submit", str(project), *options)
    assert not set(loaded) & (NEVER | NOT_TO_SUBMIT)
    # The first that is asked for when the request has gone out, and so has the rest of them.
    sent = loaded.index("ci_client.answer")
    early = set(loaded[:sent]) & ONLY_AFTER_THE_REQUEST
    assert early <= ({"json", "re"} if "--" in options else set())


def test_a_key_that_is_kept_costs_little_and_no_keyring(
    script: Script, project: Path, own_home: Path
) -> None:
    key = new_key()
    Credentials(credentials_file({})).keep(script.url, key)
    script.will(stream(*STARTED, PASSED))
    loaded = modules_after("submit", str(project))
    assert script.seen[0].headers["authorization"] == f"Bearer {key}"
    assert not set(loaded) & (NEVER | NOT_TO_SUBMIT | {"keyring", "ci_client.system_keyring"})
    sent = loaded.index("ci_client.answer")
    assert not set(loaded[:sent]) & ONLY_AFTER_THE_REQUEST


def test_waiting_loads_little(script: Script) -> None:
    script.will(answer({"job_id": JOB}), stream(*STARTED, PASSED), answer({"job_id": JOB}))
    assert not set(modules_after("wait", JOB)) & (NEVER | NOT_TO_SUBMIT - {"datetime"})


LEAVING = """
import atexit, sys
from ci_client.cli import main
atexit.register(lambda: print("taken apart"))
sys.stdout.write("not flushed yet, ")
main()
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [("", b""), ("sys.modules['ci_server'] = sys\n", b"taken apart\n")],
)
def test_a_client_leaves_at_once_and_a_server_is_taken_apart(before: str, expected: bytes) -> None:
    program = LEAVING.replace("main()", before + "main()")
    ended = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, timeout=PATIENCE
    )
    version = f"not flushed yet, ci {__version__}\n".encode()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, version + expected, b"")


def test_completion_knows_the_commands() -> None:
    environ = {"_CI_COMPLETE": "bash_complete", "COMP_WORDS": "ci s", "COMP_CWORD": "1"}
    with ci(**environ) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == [b"plain,submit", b"plain,status", b"plain,serve"]
