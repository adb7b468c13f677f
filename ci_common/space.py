"""The room that is left where jobs are kept, and the marks it must not fall below.

::

    ample ─▶ low: room is made ─▶ short: nothing is taken in ─▶ exhausted: the reserve goes
"""

from typing import NamedTuple, Protocol


class Deficit(NamedTuple):
    """What has to go until room is ample again: ``bytes``, and ``files`` where names run out."""

    bytes: int
    files: int

    def __bool__(self) -> bool:
        """Whether anything has to go."""
        return self.bytes > 0 or self.files > 0


class Space(Protocol):
    """The disks of one data directory. Calls take microseconds and may come from any thread."""

    def shortage(self, wanted: int = 0) -> str | None:
        """Return why nothing may be taken in now, as a sentence; None when it may.

        ``wanted``: the bytes about to come, 0 if unknown. A shortage that has
        begun ends only when there is clearly more room, so that it does not
        come and go with every file.
        """
        ...

    def deficit(self) -> Deficit:
        """Return what has to go for room to be ample; nothing is asked for long after a shortage.

        It begins before a shortage does, so that room is made before a job is refused.
        """
        ...

    def keep_reserve(self) -> None:
        """Set the reserve aside when room is ample, give it up when there is none left.

        Takes longer than the rest: for a worker thread. Never raises.
        """
        ...

    def release_reserve(self) -> bool:
        """Give the reserve up; return whether there was one. Never raises."""
        ...
