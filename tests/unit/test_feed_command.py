"""What waits for a project, in real shells: all of it arrives, or nothing of it runs."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_common.errors import ContainerFailed
from ci_common.executor import FED_MARKER
from ci_controller.docker_engine.feed_command import FEED_COMMAND, with_length
from tests.contract.executor.places import tar_of
from tests.fakes.tars import Tar, pieces

SHELLS = [
    pytest.param(
        command,
        id=command[0],
        marks=pytest.mark.skipif(not shutil.which(command[0]), reason="not installed"),
    )
    for command in (["dash"], ["bash"], ["busybox", "sh"])
]
SCRIPT = f"[ -e {FED_MARKER} ] || exit 125; exec </dev/null; echo ran in $PWD; cat; exit 7"
PROJECT = tar_of({"job.sh": SCRIPT.encode(), "big": bytes(300_000)})
MARKER = PROJECT.rindex(FED_MARKER.encode())
"""Where the header of the last entry begins."""


class Waiting:
    """A shell that waits for a project as a container does, with folders of its own."""

    def __init__(self, shell: list[str], top: Path, path: str | None = None) -> None:
        self.first, self.second = top / "first", top / "second"
        command = f" {FEED_COMMAND}".replace(" /tmp/ci", f" {self.second}")
        command = command.replace(" /ci", f" {self.first}")
        environment = {"PATH": path} if path else None
        tools = [shutil.which(shell[0]), *shell[1:]]
        self.process = subprocess.Popen(
            [*tools, "-c", command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment, start_new_session=True,
        )  # fmt: skip

    def send(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> tuple[int, bytes, bytes]:
        """Wait with the input held open; return exit status, output and complaints."""
        output, errors = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(), output, errors


@pytest.fixture(params=SHELLS)
def shell(request) -> list[str]:
    return request.param


@pytest.fixture
def waiting(shell, tmp_path) -> Iterator[Waiting]:
    made = Waiting(shell, tmp_path)
    with made.process:
        yield made


def whole() -> bytes:
    return b"".join(with_length(pieces(PROJECT)))


def test_a_project_runs_though_its_input_stays_open(waiting):
    waiting.send(whole())
    assert waiting.end() == (7, b"ran in %s\n" % bytes(waiting.first), b"")


def test_a_folder_that_cannot_be_made_has_a_second(shell, tmp_path):
    (tmp_path / "first").touch()
    made = Waiting(shell, tmp_path)
    with made.process:
        made.send(whole())
        assert made.end() == (7, b"ran in %s\n" % bytes(made.second), b"")


@pytest.mark.parametrize("kept", [0, 300, 512, 100_000, MARKER - 1, MARKER, MARKER + 511])
def test_a_cut_input_runs_nothing(waiting, kept):
    length = whole().index(b"\n") + 1
    waiting.send(whole()[: length + kept])
    waiting.process.stdin.close()
    code, output, _ = waiting.end()
    assert (code != 0, output) == (True, b"")


def test_a_feed_that_stops_is_waited_for_until_the_end(waiting):
    waiting.send(whole()[: len(PROJECT) // 2])
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(0.2)
    waiting.process.send_signal(signal.SIGTERM)
    waiting.process.stdin.close()
    assert waiting.end()[:2] == (-signal.SIGTERM, b"")


def test_garbage_ends_it_with_a_complaint(waiting):
    waiting.send(b"".join(with_length(pieces(bytes(range(1, 256)) * 400))))
    code, output, errors = waiting.end()
    assert (code != 0, output) == (True, b"")
    assert b"tar" in errors


@pytest.mark.parametrize("missing", ["head", "tar"])
def test_a_missing_tool_is_named(tmp_path, missing):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in {"sh", "mkdir", "head", "tar"} - {missing}:
        (tools / tool).symlink_to(shutil.which(tool))
    made = Waiting(["dash"], tmp_path, path=str(tools))
    with made.process:
        made.send(b"".join(with_length(pieces(tar_of({"job.sh": SCRIPT.encode()})))))
        code, output, errors = made.end()
    assert (code != 0, output) == (True, b"")
    assert missing.encode() in errors


def test_a_project_that_is_not_as_long_as_it_said_fails():
    for said in (len(PROJECT) - 1, len(PROJECT) + 1):
        with pytest.raises(ContainerFailed, match="not as long as it said"):
            list(with_length(Tar([PROJECT], said)))
