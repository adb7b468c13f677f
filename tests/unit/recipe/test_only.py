"""Which command runs just some tests of a project."""

import pytest

from ci_common.errors import InvalidOption
from ci_common.recipe import Recipe
from ci_common.recipe.only import only_tests

FAILED = ("tests/test_a.py::test_it", "tests/test_b.py::test_it[a b]")
PATHS = frozenset({"", "tests", "tests/test_a.py", "src"})


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        (("python", "-m", "pytest"), ("python", "-m", "pytest")),
        (("pytest", "-x", "tests"), ("pytest", "-x")),
        (("pytest", "./tests/", "."), ("pytest",)),
        (("pytest", "tests/test_a.py::test_other"), ("pytest",)),
        (
            ("pytest", "--ignore", "src", "-k", "tests"),
            ("pytest", "--ignore", "src", "-k", "tests"),
        ),
        (("pytest", "--rootdir=src"), ("pytest", "--rootdir=src")),
        (("src", "/x/pytest", "unknown"), ("src", "/x/pytest", "unknown")),
    ],
)
def test_tests_that_are_named_give_way_and_options_stay(command, begins):
    assert only_tests(Recipe(command=command), FAILED, PATHS) == (*begins, *FAILED)


def test_one_command_of_the_shell_stays_one():
    found = only_tests(Recipe(command="PYTHONPATH=. pytest -q tests"), FAILED, PATHS)
    assert found == f"PYTHONPATH=. pytest -q {FAILED[0]} '{FAILED[1]}'"


@pytest.mark.parametrize(
    "command", ["make test", ("tox",), "cd x && pytest", "pytest tests | tee log", "pytest $ARGS"]
)
def test_what_is_not_pytest_alone_is_refused(command):
    with pytest.raises(InvalidOption, match="cannot be run alone"):
        only_tests(Recipe(command=command), FAILED, PATHS)


def test_too_many_for_a_command_line_are_refused():
    with pytest.raises(InvalidOption, match="too many"):
        only_tests(Recipe(), ["x" * 100] * 1000, PATHS)
