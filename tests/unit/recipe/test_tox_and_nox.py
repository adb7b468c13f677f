import pytest

from ci_common.recipe.tox import best_environment, expand
from tests.unit.recipe.projects import installed_by, recipe_of

PACKAGE = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "a"\n'


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("py311", ["py311"]),
        ("py{39,310}-{a,b}", ["py39-a", "py39-b", "py310-a", "py310-b"]),
        ("py3{9-11}", ["py39", "py310", "py311"]),
        ("py{313-314}t", ["py313t", "py314t"]),
        ("lint{,-fast}", ["lint", "lint-fast"]),
        ("", []),
    ],
)
def test_generative_names(pattern, names):
    assert expand(pattern) == names


@pytest.mark.parametrize(
    ("names", "special", "best"),
    [
        (["lint", "py39", "py310", "docs"], (), "py310"),
        (["py310-django4", "py310"], (), "py310"),
        (["py313-tests", "py314-tests"], ("py314-tests",), "py313-tests"),
        (["py313t", "py312"], (), "py312"),
        (["pypy3", "py"], (), "py"),
        (["3.11", "3.12-tests"], (), "3.12-tests"),
        (["lint", "unit"], (), "unit"),
        (["lint", "docs"], (), ""),
    ],
)
def test_the_environment_that_runs_the_tests(names, special, best):
    assert best_environment(names, special) == best


INI = {
    "plain deps": ("[testenv]\ndeps =\n  pytest\n  mock>=4\n", "ci_pip install pytest 'mock>=4'"),
    "factors": (
        (
            "[tox]\nenvlist = py{311,312}-{old,new}\n[testenv]\ndeps =\n"
            "  pytest\n  old: six<1\n  py{311,312}-old: tomli\n  !old: never\n"
        ),
        "ci_pip install pytest 'six<1' tomli",
    ),
    "references": (
        (
            "[base]\ndeps = pytest\n  {[more]deps}\n[more]\ndeps = mock\n"
            "[testenv]\ndeps = {[base]deps}\n"
        ),
        "ci_pip install pytest mock",
    ),
    "its own section wins": (
        "[tox]\nenvlist = py\n[testenv]\ndeps = flake8\n[testenv:py]\ndeps = pytest\n",
        "ci_pip install pytest",
    ),
    "a file under toxinidir": (
        "[testenv]\ndeps = -r{toxinidir}/requirements-ci.txt\n",
        "ci_pip install -r requirements-ci.txt",
    ),
    "extras and groups": (
        "[testenv]\nextras = http\ndependency_groups = test\n",
        "ci_pip install pytest httpx",
    ),
    "the project's extra among deps": (
        "[testenv]\ndeps = .[http]\n",
        "ci_pip install httpx pytest",
    ),
}


@pytest.mark.parametrize(("ini", "command"), INI.values(), ids=INI.keys())
def test_tox_ini(ini, command):
    recipe = recipe_of(
        {
            "tox.ini": ini,
            "requirements-ci.txt": "pytest\n",
            "pyproject.toml": PACKAGE + '[project.optional-dependencies]\nhttp = ["httpx"]\n'
            '[dependency-groups]\ntest = ["pytest"]\n'
            if "extras" in ini or ".[" in ini
            else PACKAGE,
        }
    )

    assert set(recipe.dependencies[0].split()) == set(command.split())


def test_tox_that_only_calls_another_installer_says_nothing():
    recipe = recipe_of(
        {
            "tox.ini": "[testenv]\nskip_install = true\ndeps = poetry\ncommands = poetry install\n",
            "pyproject.toml": PACKAGE + '[dependency-groups]\ntest = ["pytest", "mock"]\n',
        }
    )

    assert recipe.dependencies == ("ci_pip install pytest mock",)


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": PACKAGE + '[tool.tox.env_run_base]\ndeps = ["pytest", "mock"]'},
        {"pyproject.toml": PACKAGE, "tox.toml": '[env_run_base]\ndeps = ["pytest", "mock"]'},
        {
            "pyproject.toml": PACKAGE
            + '[tool.tox]\nlegacy_tox_ini = """\n[testenv]\ndeps =\n  pytest\n  mock\n"""'
        },
        {"setup.cfg": "[metadata]\nname = a\n[tox:tox]\n[testenv]\ndeps =\n  pytest\n  mock\n"},
    ],
    ids=["pyproject", "tox.toml", "legacy", "setup.cfg"],
)
def test_tox_has_other_places_too(files):
    assert recipe_of(files).dependencies == ("ci_pip install pytest mock",)


NOX = {
    "literals": ('session.install("pytest", "mock")', "pytest mock"),
    "a constant": ("session.install(*NEEDS)", "mock pytest"),
    "a file": (
        'session.install("-r", "ci/requirements-x.txt", "-e", ".")',
        "-r ci/requirements-x.txt",
    ),
    "groups": (
        'session.install(*nox.project.dependency_groups(PROJECT, "qa"))',
        "pytest-cov",
    ),
    "uv sync": ('session.run_install("uv", "sync", "--group=qa")', "pytest-cov"),
    "an extra": ('session.install("-e", ".[http]")', "httpx pytest-cov"),
}


@pytest.mark.parametrize(("line", "installed"), NOX.values(), ids=NOX.keys())
def test_noxfile(line, installed):
    noxfile = (
        'import nox\nNEEDS = ["mock", "pytest"]\n'
        '@nox.session\ndef lint(session):\n    session.install("ruff")\n'
        f'@nox.session(python=["3.11"], name="tests")\ndef run(session):\n    {line}\n'
    )
    recipe = recipe_of(
        {
            "noxfile.py": noxfile,
            "ci/requirements-x.txt": "pytest\n",
            "pyproject.toml": PACKAGE + '[dependency-groups]\nqa = ["pytest-cov"]\n'
            '[project.optional-dependencies]\nhttp = ["httpx"]\n',
        }
    )

    words = installed_by(recipe).splitlines()[0].removeprefix("ci_pip install ").split()
    assert sorted(words) == sorted(installed.split())
