"""Containers that say what tells whose bytes a log holds."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from ci_common.executor import ContainerExit, ContainerSpec
from tests.fakes.executor import FakeContainer

_INITIALS = bytes(range(0xA1, 0x100))
"""What the lines of containers begin with, and nothing else in a log is."""


class Cause(StrEnum):
    """Whose doing a container's end was."""

    ITSELF = "itself"
    STOPPED = "stopped"
    ENGINE = "engine"
    REMOVED = "removed"


class SimulatedContainer(FakeContainer):
    """Writes text that is its own; ``number`` tells containers apart whatever they are called.

    ``output`` is what its readers are to have in the end, but for the ``secret`` it says.
    ``ended_at`` is on the loop's clock.
    ``unwatched``: whether the engine was away in its time, and all who listen to it cut off.
    """

    def __init__(
        self,
        number: int,
        name: str,
        namespace: str,
        spec: ContainerSpec,
        time: Callable[[], float],
    ) -> None:
        super().__init__(name, namespace, spec)
        self._time = time
        self.number = number
        self.broken_at = -math.inf
        self.cause: Cause | None = None
        self.fed_for: tuple[str, int] | None = None
        self.begun = False
        self.installs = False
        self.secret = b""
        self.hides_its_end = False
        self.unwatched = False
        self.ended_at = math.inf
        self._text = b""
        self._forgotten: list[tuple[int, int]] = []

    @property
    def lives(self) -> bool:
        return self.ended is None

    def break_streams(self) -> None:
        super().break_streams()
        self.broken_at = self._time()

    def say_a_line(self) -> None:
        """Write the first line of its text."""
        self.say(len(self._line(0)))

    def say(self, length: int) -> None:
        """Write the next bytes of a text that no other container has."""
        while len(self._text) < len(self.output) + length:
            self._text += self._line(len(self._text))
        self.write(self._text[len(self.output) : len(self.output) + length])

    def _line(self, position: int) -> bytes:
        initial = _INITIALS[self.number % len(_INITIALS)]
        return b"%c%04d says %b%d>\n" % (initial, self.number % 10_000, self.secret, position)

    @property
    def visible(self) -> bytes:
        """What may be seen of its output."""
        said = bytes(self.output)
        return said.replace(self.secret, b"*" * len(self.secret)) if self.secret else said

    @property
    def record(self) -> bytes:
        """What the engine can give again of its output: of a living container only whole lines."""
        length = self._recorded if self.lives else len(self.output)
        output = self.output[:length]
        for begin, end in reversed(self._forgotten):
            del output[begin:end]
        return bytes(output)

    @property
    def _recorded(self) -> int:
        return self.output.rfind(b"\n") + 1

    @property
    def forgot(self) -> bool:
        """Whether somebody has kept what the engine cannot give again, and more was said since."""
        return any(end < len(self.output) for _, end in self._forgotten)

    def forget_unrecorded(self, told: int) -> None:
        """Have the engine lose the line that is not finished, as one does that restarts.

        ``told``: how much of the output somebody has kept. The rest of that
        line is as if it had never been said.
        """
        recorded = self._recorded
        told = max(told, recorded)
        del self.output[told:]
        self._forgotten = [gap for gap in self._forgotten if gap[0] < recorded]
        if told > recorded:
            self._forgotten.append((recorded, told))

    def end(self, cause: Cause, code: int, *, oom_killed: bool = False) -> None:
        if not self.lives:
            return
        self.cause = cause
        self.ended_at = self._time()
        self.ended = ContainerExit(
            exit_code=code, oom_killed=oom_killed, by_itself=cause is not Cause.ENGINE
        )
        self.state = type(self.state).EXITED
        self._announce()

    def exit(self, code: int, **circumstances: Any) -> None:
        self.end(Cause.STOPPED, code, **circumstances)

    def announce(self) -> None:
        self._announce()
