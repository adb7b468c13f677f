"""Disks whose room the test decides."""

from ci_common.space import Deficit


class FakeSpace:
    """Says what it is told to; ``missing`` is what has to go, or asks for it each time."""

    def __init__(self) -> None:
        self.short: str | None = None
        self.missing = lambda: Deficit(0, 0)
        self.has_reserve = True
        self.calls: list[str] = []

    def shortage(self, wanted: int = 0) -> str | None:
        return self.short

    def deficit(self) -> Deficit:
        return self.missing()

    def keep_reserve(self) -> None:
        self.calls.append("keep_reserve")

    def release_reserve(self) -> bool:
        self.calls.append("release_reserve")
        had, self.has_reserve = self.has_reserve, False
        return had
