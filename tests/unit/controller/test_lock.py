import signal
import subprocess
import sys

from ci_controller.lock import ControllerLock

HOLD = """
import sys
from pathlib import Path
from ci_controller.lock import ControllerLock
lock = ControllerLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


def test_one_holder_at_a_time(tmp_path):
    first, second = (ControllerLock(tmp_path / "controller.lock") for _ in range(2))
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    assert (first.held, second.held) == (True, False)
    first.release()
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_killed_holder_frees_the_lock(tmp_path):
    path = tmp_path / "controller.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline().strip() == b"True"
        mine = ControllerLock(path)
        assert not mine.try_acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert mine.try_acquire()
        mine.release()
