"""What a server says of itself."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class ServerState:
    """What a server says of itself. ``problems`` are by part; ``date`` is its clock, as sent."""

    def __init__(self, version: str, date: str | None, problems: Mapping[str, str]) -> None:
        self.version = version
        self.date = date
        self.problems = problems

    @classmethod
    def of(cls, version: object, date: str | None, problems: object) -> Self:
        """Return it from parts of answers that may be of any type."""
        return cls(str(version or ""), date, problems if isinstance(problems, dict) else {})
