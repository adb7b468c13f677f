"""Whatever is in a zip, detection ends with a recipe or with a refusal that says why."""

import shlex
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import InvalidRecipe
from ci_common.recipe import MAX_WANTED_BYTES, Recipe, detect, wanted_files

NAMES = (
    "ci.toml", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "tox.toml", "noxfile.py",
    "pytest.ini", "hatch.toml", "Pipfile", "PKG-INFO", "requirements.txt", "requirements/test.txt",
    "tests/requirements.txt", "dev-requirements.txt", "constraints.txt",
)  # fmt: skip

SNIPPETS = (
    "[tool.ci]\n",
    "[project]\nname='a'\n",
    "dynamic=['dependencies']\n",
    "[build-system]\n",
    "[dependency-groups]\n",
    "test=['pytest',{include-group='dev'}]\n",
    "dev=[{include-group='test'}]\n",
    "[tool.poetry.dependencies]\n",
    "a='^1'\n",
    "a={git='x',rev=1}\n",
    "a=[{version=1}]\n",
    "[testenv]\n",
    "deps=\n -rrequirements.txt\n",
    " {[testenv]deps}\n",
    "[tox]\nenvlist=py{3,4}-{a-z,}\n",
    "from setuptools import setup\n",
    "x=['a']\n",
    "x=x+x\n",
    "setup(install_requires=x,**y)\n",
    "setup(extras_require={'test':x,1:2})\n",
    "@nox.session\ndef tests(s):\n s.install(*x,'-r')\n",
    "-r requirements.txt\n",
    "-c constraints.txt\n",
    "-e .\n",
    "pytest>=8\n",
    "foo @ file:///x\n",
    "[tool.hatch.envs.test]\n",
    "template='test'\n",
    "[pytest]\naddopts=--cov -n\n",
    "[options]\n",
    "install_requires=file: requirements.txt\n",
    "\0",
    "\r",
    "'",
    '"',
    "{",
    "[",
    "]",
    "=",
    ";",
    "\\\n",
)

TEXTS = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=8), max_size=12).map("".join)
CONTENTS = st.binary(max_size=200) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


def check(recipe: Recipe) -> None:
    for command in (*recipe.dependencies, *recipe.project):
        assert "\n" not in command or "ci_pip" not in command.split("\n")[-1]
    assert all(note.isprintable() for note in recipe.notes)
    assert recipe.notes


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=12), CONTENTS, max_size=6))
def test_any_contents(files):
    try:
        check(detect(list(files), files))
    except InvalidRecipe:
        # Only what the project says about itself can be refused, never what it installs with.
        assert files.keys() & {"ci.toml", "pyproject.toml"} or "/" in "".join(files)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="a./\\-\0ré ", max_size=12), max_size=8))
def test_any_names(names):
    assert set(wanted_files(names)) <= set(names)
    check(detect(names, {}))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=10), min_size=1, max_size=4).map(tuple))
def test_any_submitted_command_is_kept_or_refused(command):
    try:
        recipe = detect([], {}, command)
    except InvalidRecipe:
        assert "\0" in "".join(command) or not command[0]
    else:
        assert recipe.command == command
        assert tuple(shlex.split(recipe.command_line)) == command


INCLUDE = "{{include-group='g{}'}},"
BIG = MAX_WANTED_BYTES - 1
HOSTILE = {
    "many blanks in a setup.cfg": {"setup.cfg": "[a]\nb" + " " * BIG + "c"},
    "blanks in a constraint": {
        "pyproject.toml": "[tool.poetry.dependencies]\na = '" + " " * 200_000 + "^'"
    },
    "blanks in a requirement": {"requirements.txt": "." + " " * BIG + "x"},
    "groups that include two, again and again": {
        "pyproject.toml": "[dependency-groups]\n"
        + "".join(f"g{n}=[{2 * INCLUDE.format(n + 1)}]\n" for n in range(3000))
        + "test=[{include-group='g0'}]\n"
    },
    "templates in a long row": {
        "hatch.toml": "".join(f"[envs.e{n}]\ntemplate='e{n + 1}'\n" for n in range(5000))
        + "[envs.test]\ntemplate='e0'\n"
    },
    "a list that doubles": {"setup.py": "x=['a']\n" + "x=x+x\n" * 200 + "setup(tests_require=x)"},
    "references that multiply": {
        "tox.ini": "[a]\nb=" + "{[a]b}" * 20_000 + "\n[testenv]\ndeps={[a]b}\n"
    },
    "environments without number": {"tox.ini": "[tox]\nenvlist=" + "py{1-9999}-{1-9999}," * 10_000},
    "Python too deep": {"setup.py": "-" * BIG + "1", "noxfile.py": "(" * BIG},
    "files that include all the others": {
        f"requirements/{n}.txt": "".join(f"-r {m}.txt\n" for m in range(60)) * 50 for n in range(60)
    },
    "TOML too deep": {"tox.toml": "a=" + "[" * 100_000, "hatch.toml": "[" + "a." * 5_000 + "a]"},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_cost_little(files):
    started = time.process_time()

    detect(list(files), {name: text.encode()[:MAX_WANTED_BYTES] for name, text in files.items()})

    # Of our own work, however busy the machine is; without the bounds it would be hours.
    assert time.process_time() - started < 10


@pytest.mark.parametrize("files", [{}, {"pyproject.toml": b"#" * MAX_WANTED_BYTES}])
def test_a_pyproject_too_large_to_read_whole_is_refused(files):
    with pytest.raises(InvalidRecipe, match="too large"):
        detect(["pyproject.toml"], files)


def test_requirements_too_large_to_read_whole_may_include_the_project():
    text = b"pytest\n" + b"#" * MAX_WANTED_BYTES
    recipe = detect(["requirements.txt"], {"requirements.txt": text})

    assert recipe.dependencies == ()
    assert recipe.project == ("ci_pip install -r requirements.txt",)
