"""The plugin in a real pytest of its own: it tells all, and nothing of it shows."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_common.results import Case
from ci_controller.results.journal import read_journal
from ci_controller.results.reporting import JOURNAL_FOLDER, PLUGIN_FOLDER, VARIABLE, plugin_files

TESTS = """
import os, subprocess, sys
import pytest

def test_passes(): pass

def test_fails(): assert 1 == 2, "not equal"

@pytest.mark.parametrize("x", ["a::b", "c d"])
def test_parameters(x): pass

@pytest.mark.skip(reason="not now")
def test_skipped(): pass

@pytest.mark.xfail(reason="bug 7")
def test_known(): assert 0

@pytest.mark.xfail(reason="bug 8")
def test_surprise(): pass

@pytest.fixture
def broken(): raise RuntimeError("no fixture")

def test_error(broken): pass

@pytest.fixture
def leaves_badly():
    yield
    raise RuntimeError("no clean-up")

def test_teardown(leaves_badly): pass

class TestClass:
    def test_method(self): pass
"""
OUTCOMES = {
    "test_it.py::test_passes": "passed",
    "test_it.py::test_fails": "failed",
    "test_it.py::test_parameters[a::b]": "passed",
    "test_it.py::test_parameters[c d]": "passed",
    "test_it.py::test_skipped": "skipped",
    "test_it.py::test_known": "xfailed",
    "test_it.py::test_surprise": "passed",
    "test_it.py::test_error": "error",
    "test_it.py::test_teardown": "error",
    "test_it.py::TestClass::test_method": "passed",
}

_WITHOUT = "-p no:asyncio -p no:schemathesis -p no:faker -p no:anyio -p no:hypothesispytest"
"""Without what our environment has: one says something, others take a second to import."""


class Job:
    """A folder as a container has it, and what runs in its workspace."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        for name, content in plugin_files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.workspace = folder / "workspace"
        self.workspace.mkdir()

    def write(self, **files: str) -> "Job":
        for name, text in files.items():
            (self.workspace / f"{name}.py").write_text(text)
        return self

    def run(
        self, *words: str, plugin: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
        variables["PYTEST_ADDOPTS"] = _WITHOUT
        if plugin:
            variables[VARIABLE] = str(self.home / JOURNAL_FOLDER)
            variables["PYTHONPATH"] = str(self.home / PLUGIN_FOLDER)
        command = [sys.executable, *words] if words else [sys.executable, "-m", "pytest"]
        return subprocess.run(
            command,
            cwd=self.workspace,
            env=variables | {"PYTHONDONTWRITEBYTECODE": "1"} | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def cases(self) -> list[Case]:
        journals = sorted((self.home / JOURNAL_FOLDER).glob("*.jsonl"))
        return [case for path in journals for case in read_journal(path.read_bytes())[0]]

    def outcomes(self) -> dict[str, str]:
        return {case.node_id: case.outcome.value for case in self.cases()}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def steady(output: str) -> str:
    return re.sub(r"in [0-9.]+s", "in a moment", output)


def test_every_outcome_is_told_and_nothing_shows(job):
    job.write(test_it=TESTS)
    pytest_ = ("-m", "pytest", "-p", "no:cacheprovider", "-v")
    plain, told = job.run(*pytest_, plugin=False), job.run(*pytest_)
    assert steady(told.stdout) == steady(plain.stdout)
    assert (told.returncode, told.stderr) == (plain.returncode, plain.stderr) == (1, "")
    assert job.outcomes() == OUTCOMES
    messages = {case.name: case.message for case in job.cases()}
    assert messages["test_fails"].startswith("AssertionError: not equal")
    assert messages["test_skipped"] == "Skipped: not now"
    assert messages["test_error"] == "RuntimeError: no fixture"


NESTED = """
import os, subprocess, sys

def test_nested(tmp_path):
    assert not any(".plugin" in path for path in sys.path)
    assert "CI_TEST_JOURNAL" not in os.environ and ".plugin" not in os.environ.get("PYTHONPATH", "")
    (tmp_path / "test_inner.py").write_text("def test_inner(): assert 0")
    done = subprocess.run([sys.executable, "-m", "pytest", str(tmp_path)])
    assert done.returncode == 1
"""


def test_a_pytest_inside_of_a_test_is_not_told(job):
    done = job.write(test_it=NESTED).run()
    assert done.returncode == 0, done.stdout
    assert job.outcomes() == {"test_it.py::test_nested": "passed"}


def test_several_in_a_row_all_count(job):
    job.write(test_a="def test_a(): pass", test_b="def test_b(): assert 0")
    for name in ("test_a.py", "test_b.py"):
        job.run("-m", "pytest", name)
    assert job.outcomes() == {"test_a.py::test_a": "passed", "test_b.py::test_b": "failed"}


def test_workers_of_xdist_are_told_once(job):
    done = job.write(test_it=TESTS).run("-m", "pytest", "-n", "2")
    assert done.returncode == 1, done.stdout
    assert job.outcomes() == OUTCOMES
    assert len(job.cases()) == len(OUTCOMES)


def test_a_module_that_cannot_be_imported_is_an_error(job):
    job.write(test_it="import nowhere_at_all").run()
    ((node_id, outcome),) = job.outcomes().items()
    assert (node_id, outcome) == ("test_it.py", "error")


def test_a_pytest_that_is_killed_leaves_what_it_came_to(job):
    text = "import os\ndef test_a(): pass\ndef test_b(): os._exit(9)\ndef test_c(): pass\n"
    assert job.write(test_it=text).run().returncode == 9
    assert job.outcomes() == {"test_it.py::test_a": "passed", "test_it.py::test_b": "error"}


def test_node_ids_are_those_of_the_folder_it_was_started_in(job):
    folder = job.workspace / "sub"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text("def test_one(): assert 0")
    job.run("-m", "pytest", "sub")
    assert job.outcomes() == {"sub/test_it.py::test_one": "failed"}
    again = job.run("-m", "pytest", "sub/test_it.py::test_one")
    assert again.returncode == 1


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (("-I", "-m", "pytest"), {}),
        (("-m", "pytest"), {"PYTHONPATH": "src"}),
        (("-m", "pytest"), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        (("-m", "pytest"), {VARIABLE: "/nowhere"}),
    ],
)
def test_where_it_cannot_be_there_is_nothing_and_nothing_fails(job, words, env):
    done = job.write(test_it="def test_one(): pass").run(*words, env=env)
    assert (done.returncode, job.outcomes()) == (0, {}), done.stdout


@pytest.mark.parametrize(
    "options",
    [("-p", "no:junitxml"), ("--junitxml=own.xml",), ("-W", "error"), ("--strict-config",)],
)
def test_the_projects_own_options_are_none_of_its_business(job, options):
    done = job.write(test_it="def test_one(): pass").run("-m", "pytest", *options)
    assert (done.returncode, job.outcomes()) == (0, {"test_it.py::test_one": "passed"})
    assert (job.workspace / "own.xml").exists() == ("--junitxml=own.xml" in options)


def test_a_full_disk_does_not_show(job):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    conftest = (
        "def pytest_collection_finish(session):\n"
        "    journal = session.config.pluginmanager.getplugin('standby-ci-journal')\n"
        "    journal.file = open('/dev/full', 'w')\n"
    )
    done = job.write(conftest=conftest, test_it="def test_one(): pass").run("-m", "pytest")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
