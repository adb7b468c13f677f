import pytest

from ci_common.recipe import MAX_WANTED_FILES, wanted_files
from ci_common.recipe.listing import project_root
from tests.unit.recipe.projects import recipe_of


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["a-main/pyproject.toml", "a-main/a/b.py"], "a-main"),
        (["a-main/calc.py", "a-main/tests/test_a.py"], "a-main"),
        (["a-main/setup.py", "__MACOSX/a-main/._setup.py", ".DS_Store"], "a-main"),
        (["a-main/setup.py", "README.md"], ""),
        (["a/setup.py", "b/setup.py"], ""),
        (["tests/test_a.py"], ""),
        (["src/a/__init__.py"], ""),
        (["pkg/__init__.py", "pkg/test_a.py"], ""),
        (["test_a.py"], ""),
        (["/setup.py"], ""),
        ([], ""),
    ],
)
def test_the_folder_that_holds_it_all(names, root):
    assert project_root(names) == root


def test_wanted_are_known_names_at_the_top_and_requirements_a_little_below():
    wanted = wanted_files(
        [
            "a.py",
            "pyproject.toml",
            "docs/pyproject.toml",
            "requirements/test.txt",
            "requirements-dev.in",
            "tests/requirements/base.txt",
            "a/b/c/requirements.txt",
            "tests/data.txt",
            "ci.toml",
            "requirements/",
        ]
    )

    assert wanted == (
        "ci.toml",
        "pyproject.toml",
        "requirements-dev.in",
        "requirements/test.txt",
        "tests/requirements/base.txt",
    )


def test_wanted_are_bounded_and_the_telling_ones_come_first():
    wanted = wanted_files([*(f"requirements/{n}.txt" for n in range(1000)), "setup.py"])

    assert len(wanted) == MAX_WANTED_FILES
    assert wanted[0] == "setup.py"


def test_a_github_zip_runs_in_its_folder():
    recipe = recipe_of({"a-main/requirements-test.txt": "pytest\n", "a-main/a.py": ""})

    assert recipe.root == "a-main"
    assert recipe.dependencies == ("ci_pip install -r requirements-test.txt",)
    assert recipe.dependency_files == ("requirements-test.txt",)
