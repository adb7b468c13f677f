"""Projects to submit, as folders and as zips."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HELLO = ("python3", "-c", "print('hi')")


def recipe(command: Sequence[str], *, install: str = "install = []\n") -> str:
    """Return a ``ci.toml`` that runs ``command``."""
    # A TOML array of basic strings is written as JSON is, and so as Python's repr is not.
    quoted = ", ".join(
        '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in command
    )
    return f"{install}command = [{quoted}]\n"


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a zip of ``files``."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


def script_project(script: str) -> bytes:
    """Return the zip of a project that runs a Python script without installing anything."""
    return zipped({"ci.toml": recipe(["python3", "main.py"]), "main.py": script})


def write_project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write ``files`` into a new folder; return it."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
