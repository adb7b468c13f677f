"""A scratch folder's output as it grows, and its input."""

import errno
import os
import select
import threading
import time
from collections.abc import Iterator

from ci_controller.feeding import InputBroken
from ci_controller.local_engine.scratch import ScratchFolder

_READ_SIZE = 256 * 1024
_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.025
"""Seconds between looks at a file that does not grow: what a silent job adds to a line's way."""
_OPEN_PAUSE = 0.002
_SEND_PAUSE_MS = 100


class FileTail:
    """The output file from its start to the container's end. An ``OutputSource``."""

    def __init__(self, scratch: ScratchFolder) -> None:
        """Open; raises FileNotFoundError."""
        self._scratch = scratch
        self._leader = scratch.leader()
        self._file = scratch.output.open("rb", buffering=0)
        self._stop = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the output as it comes."""
        pause = _SHORTEST_PAUSE
        while not self._stop.is_set():
            # Asked before reading: what is written before the end is read before the end.
            alive = self._scratch.ended() is None and self._leader.alive()
            data = self._file.read(_READ_SIZE)
            if data:
                pause = _SHORTEST_PAUSE
                yield data
            elif not alive:
                return
            else:
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def interrupt(self) -> None:
        """Make the iteration end soon."""
        self._stop.set()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


class FifoInput:
    """The FIFO that a waiting container reads its project from. An ``InputChannel``."""

    def __init__(self, scratch: ScratchFolder, *, timeout: float) -> None:
        """Open, as soon as the container has opened its end.

        Raises:
            FileNotFoundError: there is no such container.
            InputBroken: the container does not read.

        """
        self._descriptor = _open_for_writing(scratch, time.monotonic() + timeout)
        self._cut = threading.Event()

    def send(self, data: memoryview) -> int:
        """Send some of ``data``; return how much. Raises OSError when it is cut or broken."""
        while not self._cut.is_set():
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                self._wait_for_room()
        raise BrokenPipeError(errno.EPIPE, "the input was cut")

    def finish(self) -> None:
        """Let the reader see the end of the input."""
        self.close()

    def cut(self) -> None:
        """End the input at once, wherever it is."""
        self._cut.set()

    def close(self) -> None:
        """Close our end, which is the end of the input. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _wait_for_room(self) -> None:
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        room.poll(_SEND_PAUSE_MS)


def _open_for_writing(scratch: ScratchFolder, deadline: float) -> int:
    while True:
        try:
            return os.open(scratch.input, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            # ENXIO: nobody reads yet; a process that has just started soon will.
            if error.errno != errno.ENXIO:
                raise
        if time.monotonic() > deadline or scratch.ended() or not scratch.leader().alive():
            raise InputBroken(f"{scratch.name} does not read its input")
        time.sleep(_OPEN_PAUSE)
