"""The ``Range`` header of RFC 9110, for one range of bytes."""

import re

from ci_common.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


def resolve_range(header: str | None, size: int) -> range | None:
    """Return the byte offsets a ``Range`` header asks for, None for the whole.

    A header that is malformed, in another unit, or that lists several ranges
    is ignored, as the RFC allows.

    Raises:
        RangeNotSatisfiable: no byte of the range exists.

    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise RangeNotSatisfiable(
            f"the range {header} asks for no byte of a log of {size} bytes",
            hint="Ask for a range that begins before the end of the log.",
        )
    return range(start, stop)
