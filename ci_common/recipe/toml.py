"""TOML documents of unknown shape: what is not there, or not of the right type, is empty."""

import tomllib
from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Any]


def parse_toml(text: str) -> Table:
    """Return the document.

    Raises:
        ValueError: it is not TOML; the text says where.

    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def lenient_toml(text: str | None) -> Table:
    """Return the document, an empty one if the text is missing or is not TOML."""
    try:
        return parse_toml(text or "")
    except ValueError:
        return {}


def table(document: Table, *keys: str) -> Table:
    """Return the table at a path of keys, an empty one if there is none."""
    for key in keys:
        value = document.get(key)
        if not isinstance(value, dict):
            return {}
        document = value
    return document


def strings(value: object) -> tuple[str, ...]:
    """Return the strings of a list; a lone string is a list of one."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def string(value: object) -> str:
    """Return a string as it is, and ``""`` for anything else."""
    return value if isinstance(value, str) else ""
