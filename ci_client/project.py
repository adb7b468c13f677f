"""What a project's own files tell the client: its name, and its server."""

from __future__ import annotations

import os

from ci_common.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    StrPath = str | os.PathLike[str]

_LONGEST_NAME = 200
"""Characters of a project's name that a server takes."""


def read_toml(path: str, key: str = "") -> dict[str, Any]:
    """Return what is in a TOML file; ``{}`` when there is none, or it has no such ``key``.

    Raises:
        ConfigurationError: it cannot be read or is no TOML.

    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if key and not _sets(text, key):
            return {}
        import tomllib  # most of these files do not exist, or say nothing of the kind

        return tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}", hint="Correct the file and try again."
        ) from error


def _sets(text: str, key: str) -> bool:
    """Return whether ``key`` may be set in TOML: that takes an ``=`` behind it."""
    return any(rest.lstrip("\"' \t").startswith("=") for rest in text.split(key)[1:])


def project_name(directory: StrPath) -> str:
    """Return the name in ``pyproject.toml``, else the folder's, fit for a list."""
    folder = os.path.realpath(directory)
    found = _name_in_pyproject(folder) or os.path.basename(folder)
    shown = "".join(letter if letter.isprintable() else "?" for letter in found)
    return shown.strip()[:_LONGEST_NAME]


def _name_in_pyproject(folder: str) -> str | None:
    try:
        content = read_toml(f"{folder}/pyproject.toml")
    except ConfigurationError:
        return None  # the server says what is wrong with it, in the job's own terms
    for table in (_table(content, "project"), _table(content, "tool", "poetry")):
        name = table.get("name")
        if isinstance(name, str) and name.strip():
            return name
    return None


def project_setting(start: StrPath, key: str) -> tuple[str, str] | None:
    """Return a CI setting of the project around ``start``, and the file it stands in.

    ``ci.toml`` goes before ``[tool.ci]`` in ``pyproject.toml``; the search
    ends at the top of the git work tree.

    Raises:
        ConfigurationError: a file is no TOML, or the setting is no text.

    """
    for folder in _project_folders(start):
        for path, table in (
            (f"{folder}/ci.toml", ()),
            (f"{folder}/pyproject.toml", ("tool", "ci")),
        ):
            value = _table(read_toml(path, key), *table).get(key)
            if value is not None:
                return checked_text(value, key, path), path
    return None


def checked_text(value: object, key: str, path: str) -> str:
    """Return ``value`` if it is text.

    Raises:
        ConfigurationError: it is something else.

    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"`{key}` in {path} is not text", hint=f'Write it as: {key} = "…"')
    return value.strip()


def _project_folders(start: StrPath) -> Iterator[str]:
    """Yield ``start`` and the folders above it, up to the top of the git work tree."""
    folder, below = os.path.realpath(start), ""
    while folder != below:
        yield folder.rstrip("/")
        if os.path.exists(f"{folder}/.git"):
            return
        folder, below = os.path.dirname(folder), folder


def _table(content: dict[str, Any], *names: str) -> dict[str, Any]:
    table: Any = content
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}
