"""What every benchmark is given."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """``folder`` is for its files, ``image`` is what containers run, ``pairs`` the runs a side."""

    folder: Path
    image: str
    pairs: int
