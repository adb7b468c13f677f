"""Sizes and durations as people write them: ``512m``, ``2 GiB``, ``90``, ``1h30m``."""

import re

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

DURATION_PATTERN = (
    r"^([0-9]{1,15}(\.[0-9]{1,15})?|([0-9]{1,15}(\.[0-9]{1,15})?([mM][sS]|[sSmMhHdD]))+)$"
)
"""What ``parse_seconds`` takes, but for spaces, as API descriptions have it."""

_PART = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(ms|[smhd])"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_DURATION_PART = re.compile(_PART, re.IGNORECASE)
_PLAIN_SECONDS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(text: str) -> int:
    """Return a size in bytes; ``k``, ``m``, ``g``, ``t`` are powers of 1024, as Docker reads them.

    Raises:
        ValueError: it is not a size.

    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("give a number of bytes, or one with a unit: 512m, 2g")
    number, unit = match.groups()
    return int(float(number) * 1024 ** _POWERS[unit.lower()])


def format_bytes(size: float) -> str:
    """Return a size as people read it: ``640 bytes``, ``1.5 GiB``."""
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def parse_seconds(text: str) -> float:
    """Return a duration in seconds; a bare number is seconds.

    Raises:
        ValueError: it is not a duration.

    """
    text = text.strip()
    if _PLAIN_SECONDS.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError("give seconds, or a number with a unit: 90, 10m, 1h30m")
    parts = _DURATION_PART.findall(text)
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)


def format_seconds(seconds: float) -> str:
    """Return a duration as people write it, and as ``parse_seconds`` reads it: ``1h30m``."""
    whole, parts = round(seconds), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or f"{seconds:g}s"
