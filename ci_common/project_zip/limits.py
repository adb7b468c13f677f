"""How much a project may be."""

import sys
from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipLimits:
    """What a zip may cost to read and to keep.

    ``max_files`` counts everything unpacking would create: files, links, and
    folders, also those that are only implied by a file's path.

    ``max_ratio`` is unpacked bytes over the bytes of the zip. Sources deflate
    to a third, logs and fixtures to a twentieth; past 200 it is padding, up to
    deflate's ceiling of 1,032. The first ``ratio_free_bytes`` are not counted,
    so that a small project with one very regular file passes.

    ``max_directory_bytes`` bounds the zip's table of contents, which is held in
    memory: 100,000 entries with paths of 100 bytes need about 20 MiB.

    ``max_collected_file_bytes`` and ``max_collected_bytes`` bound the files
    handed out while checking, each and together.
    """

    max_files: int = 100_000
    max_unpacked_bytes: int = 4 * GIB
    max_ratio: int = 200
    ratio_free_bytes: int = 64 * MIB
    max_directory_bytes: int = 32 * MIB
    max_collected_file_bytes: int = 1 * MIB
    max_collected_bytes: int = 16 * MIB

    def allowance(self, zip_bytes: int) -> int:
        """Return how many bytes a zip of ``zip_bytes`` may unpack to."""
        by_ratio = max(self.ratio_free_bytes, self.max_ratio * zip_bytes)
        return min(self.max_unpacked_bytes, by_ratio)


UNLIMITED = ZipLimits(
    max_files=sys.maxsize,
    max_unpacked_bytes=sys.maxsize,
    max_ratio=sys.maxsize,
    max_directory_bytes=sys.maxsize,
)
"""For a zip that has passed the check: limits lowered since do not undo an accepted job."""
