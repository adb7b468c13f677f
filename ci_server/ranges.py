"""The ``Range`` header of RFC 9110, for one range of bytes."""

import re

from ci_common.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


def resolve_range(header: str | None, size: int, *, what: str = "log") -> range | None:
    """Return the byte offsets a ``Range`` header asks for, None for the whole.

    ``what`` it is a range of is said when it is refused. A header that is
    malformed, in another unit, or that lists several ranges is ignored, as the
    RFC allows.

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
            f"the range {header} asks for no byte of a {what} of {size} bytes",
            hint=f"Ask for a range that begins before the end of the {what}.",
        )
    return range(start, stop)
