"""Which tests get a second chance, and what is said of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "scripts" / "run-tests"

# Fails the first time it is run.
UNSTEADY = """
from pathlib import Path
def test_unsteady():
    mark = Path("was-here")
    if not mark.exists():
        mark.touch()
        raise AssertionError
"""
BROKEN = "def test_broken(): assert False\n"


@pytest.fixture
def run(tmp_path: Path):
    def run(**files: str) -> subprocess.CompletedProcess[str]:
        for name, text in files.items():
            folder, _, module = name.partition("__")
            (tmp_path / "tests" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "tests" / folder / f"test_{module}.py").write_text(text)
        (tmp_path / "pytest.ini").touch()
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [sys.executable, str(RUN)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_what_passes_alone_is_told_as_unsteady(run):
    done = run(e2e__one=UNSTEADY)
    assert done.returncode == 0
    assert "UNSTEADY, to be looked at: tests/e2e/test_one.py::test_unsteady" in done.stdout


def test_what_fails_again_has_failed(run):
    done = run(e2e__one=BROKEN)
    assert done.returncode == 1
    assert "once more, alone" in done.stdout
    assert "UNSTEADY" not in done.stdout


@pytest.mark.parametrize(
    "files",
    [
        {"unit__one": UNSTEADY},
        {"e2e__one": BROKEN, "unit__two": UNSTEADY},
        {"e2e__one": BROKEN, "e2e__two": BROKEN, "e2e__three": BROKEN},
        {"e2e__one": "import nothing_like_that\n"},
    ],
)
def test_others_are_not_repeated(run, files):
    done = run(**files)
    assert done.returncode != 0
    assert "once more" not in done.stdout


def test_all_is_well(run):
    done = run(e2e__one="def test_fine(): pass\n")
    assert done.returncode == 0
    assert "once more" not in done.stdout
