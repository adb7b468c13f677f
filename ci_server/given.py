"""What was given for a setting, and where."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | list[str] | dict[str, str]


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it stands: ``file:line``, a variable or a flag.

    ``name`` is what the setting is called there.
    """

    value: Value
    origin: str
    name: str

    @property
    def place(self) -> str:
        """Where it is, to be shown to whoever has to correct it."""
        # A variable or a flag is a place by itself.
        return self.origin if self.name in self.origin else f"{self.origin}: {self.name}"


def from_flags(
    chosen: Mapping[str, str], flags: Mapping[str, str | None] | None = None
) -> dict[str, Given]:
    """Return what ``--set KEY=VALUE`` gives by key, and what flags of their own do by field.

    A flag that is None was not given; one that stands for more than one setting has
    the names of their variables.
    """
    given = {key: Given(value, f"--set {key}", key) for key, value in chosen.items()}
    for field, value in (flags or {}).items():
        if value is not None:
            flag = f"--{field.replace('_', '-')}" if field.islower() else field
            given[field] = Given(value, flag, flag)
    return given
