"""Other people's tools, in a folder that goes with the benchmark."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PATIENCE = 400.0
"""Seconds an installation may take."""


class Unavailable(Exception):
    """A tool cannot run here; the text says why."""


def require(*programs: str) -> None:
    """Refuse to go on without ``programs``. Raises ``Unavailable``."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"it needs {', '.join(missing)}, which this machine does not have")


def install(command: Sequence[str], *, cwd: Path | None = None) -> None:
    """Run an installation, or a preparation. Raises ``Unavailable`` when it fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)} fails: {(done.stdout + done.stderr)[-2000:]}")


def borrow(folder: Path, program: str, *packages: str) -> dict[str, str]:
    """Return an environment in which ``program`` is found, and nothing else has changed.

    Where the machine lacks it, the distribution's ``packages`` are unpacked
    into ``folder``, which takes no rights and leaves the machine as it was.
    Raises ``Unavailable``.
    """
    if shutil.which(program):
        return dict(os.environ)
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        require(program)
    folder.mkdir()
    install(["apt-get", "download", "-qq", *packages], cwd=folder)
    for package in folder.glob("*.deb"):
        install(["dpkg", "-x", str(package), str(folder)])
    libraries = [str(found.parent) for found in folder.glob("usr/lib/**/*.so*")]
    wrapper = folder / "bin" / program
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={':'.join(sorted(set(libraries)))} "
        f'exec {folder}/usr/bin/{program} "$@"\n'
    )
    wrapper.chmod(0o755)
    return os.environ | {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}


def git_project(folder: Path, name: str, text: str) -> Path:
    """Make a git work tree with one committed file; return it."""
    folder.mkdir()
    (folder / name).write_text(text)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-qm", "1"]):
        install(["git", "-C", str(folder), *words])
    return folder


def run_in(
    folder: Path,
    command: Sequence[str],
    *,
    expect: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a tool on a project, by default in our own environment.

    Raises:
        RuntimeError: it failed, or its output lacks ``expect``.

    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment or os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or expect not in done.stdout:
        raise RuntimeError(f"{command} exits {done.returncode}:\n{done.stdout}{done.stderr}")
