"""What a server keeps, as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci_client.table import aligned, time_of
from ci_client.terminal import printable

_SHORT_KEY = 12
_HEADER = ("KEY", "SIZE", "MADE", "LAST USED", "IMAGE", "INSTALLED BY")


def cache_table(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a header and a line for each entry, aligned; nothing for no entries."""
    return aligned([_HEADER, *map(_row, entries)]) if entries else []


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{count / 1_000_000:,.1f} MB"


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry["key"])[:_SHORT_KEY],
        size(int(entry["size_bytes"])),
        time_of(entry.get("created_at")),
        time_of(entry.get("last_used_at")),
        printable(str(entry.get("image") or "")),
        printable(str(entry.get("about") or "").replace("ci_pip", "pip")),
    )
