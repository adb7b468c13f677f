"""Debian's promtool, or why it is not here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def promtool(*arguments: str, text: str = "", folder: Path | None = None) -> str:
    """Run promtool; return what it says. Fails the test when it finds anything."""
    beside = Path(sys.executable).with_name("promtool")
    program = str(beside) if beside.exists() else shutil.which("promtool")
    if program is None:
        reason = "there is no promtool (scripts/ensure-promtool makes one)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true asks for all checks, but {reason}", pytrace=False)
        pytest.skip(reason)
    done = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, cwd=folder, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
