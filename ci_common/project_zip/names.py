"""What an entry may be called."""

import re

from ci_common.errors import InvalidArchive

MAX_PART_BYTES = 255
"""Longest name of one file or folder on the file systems in use."""

MAX_PATH_BYTES = 4000
"""Longest path: the kernel's 4,096 less room for the folder the project will lie in."""

_SHOWN = 80

# One search tells nearly every name of a real project to be fine.
_UNUSUAL = re.compile(r"[\\\0]|^/|^[A-Za-z]:|(?:^|/)\.{0,2}(?:/|$)")

_ZIP_THE_FOLDER = "Zip the project's folder itself, with paths relative to it."


def quoted(name: str) -> str:
    """Return a name fit for a message: on one line, nothing hidden, not too long."""
    shown = name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown) + '"'


def decode_name(raw: bytes, *, utf8: bool) -> str:
    """Return a name as text: UTF-8, or the code page 437 of the format's first days.

    UTF-8 is tried first whatever the entry's flag says, because the zip tools
    of Linux and macOS write it without setting the flag.

    Raises:
        InvalidArchive: flagged as UTF-8 and is not.

    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if utf8:
            raise InvalidArchive(
                f"the name {quoted(raw.decode(errors='replace'))} is not valid UTF-8",
                hint="Rename the file, or make the zip with another tool.",
            ) from None
        return raw.decode("cp437")


def clean_path(name: str) -> str:
    r"""Return a path as its parts joined by ``/``; ``.`` parts go, ``""`` is the project's folder.

    A folder's closing slash is not part of it. Control characters stay: macOS
    itself makes files named ``Icon\r``, and inside a container they do no harm.

    Raises:
        InvalidArchive: the path leads out of the project or cannot be a file there.

    """
    path = name.removesuffix("/")
    if _UNUSUAL.search(path):
        path = _plain(path, name)
    if len(path) > MAX_PART_BYTES // 4:
        _check_length(path)
    return path


def _plain(path: str, name: str) -> str:
    if "\0" in path:
        raise InvalidArchive(f"the name {quoted(name)} holds a NUL character")
    if "\\" in path:
        raise InvalidArchive(
            f"the name {quoted(name)} holds a backslash",
            hint="Folders in a zip are separated by /; some Windows tools write \\ instead.",
        )
    if name.startswith("/") or re.match("[A-Za-z]:", path):
        raise InvalidArchive(f"the name {quoted(name)} is absolute", hint=_ZIP_THE_FOLDER)
    parts = path.split("/")
    if ".." in parts:
        raise InvalidArchive(
            f"the name {quoted(name)} leads out of the project by ..", hint=_ZIP_THE_FOLDER
        )
    if "" in parts:
        raise InvalidArchive(
            f"the name {quoted(name)} has an empty part", hint="Make the zip with another tool."
        )
    return "/".join(part for part in parts if part != ".")


def _check_length(path: str) -> None:
    raw = path.encode()
    if len(raw) > MAX_PATH_BYTES:
        raise InvalidArchive(
            f"the path {quoted(path)} is {len(raw)} bytes long; the most is {MAX_PATH_BYTES}"
        )
    longest = max(map(len, raw.split(b"/")))
    if longest > MAX_PART_BYTES:
        raise InvalidArchive(
            f"a name in {quoted(path)} is {longest} bytes long; the most is {MAX_PART_BYTES}"
        )
