"""A process forked from a warm one is what a command would be, as far as its starter can tell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.warm import WarmProcess


def tell() -> None:
    print(sys.argv, os.environ["WARMTH"], "PATH" in os.environ, Path.cwd(), flush=True)
    os.write(2, b"an error\n")
    sys.exit(7)


def stay() -> None:
    time.sleep(600)


def test_a_process_has_its_own_arguments_environment_folder_and_output(tmp_path):
    output = tmp_path / "output"
    output.write_text("before\n")
    process = WarmProcess(tell, ["one", "two"], env={"WARMTH": "36"}, cwd=tmp_path, output=output)
    assert process.wait(60) == 7
    said = f"['ci', 'one', 'two'] 36 False {tmp_path}\n"
    assert output.read_text() == f"before\n{said}an error\n"


def test_what_ends_a_process_is_told_as_of_a_command(tmp_path):
    process = WarmProcess(stay, [], env={}, cwd=tmp_path, output=tmp_path / "output")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(60) == process.poll() == process.returncode == -signal.SIGKILL
    process.terminate()  # for nobody: no error, as of a command
