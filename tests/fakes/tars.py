"""Tars to feed to containers, as ``SizedTar`` has them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tar:
    """``chunks`` that are said to be ``size`` bytes long."""

    chunks: Iterable[bytes]
    size: int

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


def pieces(data: bytes, size: int = 65536) -> Tar:
    """Return ``data`` as a tar in pieces of ``size`` bytes."""
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return Tar(chunks, len(data))
