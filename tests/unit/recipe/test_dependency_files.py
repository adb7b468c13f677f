"""Commands for dependencies read the files they name and nothing else of the project."""

import pytest

from tests.unit.recipe.projects import recipe_of

PYPROJECT = '[project]\nname = "demo"\nversion = "1"\ndependencies = ["one"]\n'


@pytest.mark.parametrize(
    "line",
    [
        "--find-links ./wheels",
        "--find-links=wheels",
        "-f wheels",
        "-i file:///ci/workspace/index",
        "--extra-index-url ../index",
        "wheels/two-1.0-py3-none-any.whl",
        "two-1.0-py3-none-any.whl",
        "two.tar.gz",
        "lib/two",
        "${PWD}/lib",
        "-e file:///ci/workspace/lib",
        "-e lib",
        "two @ file:lib",
    ],
)
def test_requirements_that_lead_into_the_project_are_installed_with_it(line):
    recipe = recipe_of({"requirements.txt": f"one\n{line}\n", "test_a.py": ""})
    assert recipe.dependency_files == ()
    assert "-r requirements.txt" in " ".join(recipe.project)
    assert "requirements" not in " ".join(recipe.dependencies)


@pytest.mark.parametrize(
    "line",
    [
        "--find-links https://elsewhere/wheels",
        "-i https://elsewhere/simple",
        "--no-binary :all:",
        "--pre",
        "https://elsewhere/two-1.0-py3-none-any.whl",
        "two @ https://elsewhere/two.zip",
        "two@https://elsewhere/two.zip",
        "-e git+https://elsewhere/two#egg=two",
        "git+ssh://git@elsewhere/two",
        'two>=1; python_version < "4"',
        "two==1 --hash=sha256:00",
    ],
)
def test_requirements_from_elsewhere_are_not(line):
    recipe = recipe_of({"requirements.txt": f"one\n{line}\n", "test_a.py": ""})
    assert recipe.dependency_files == ("requirements.txt",)


def test_settings_that_uv_reads_by_itself_are_among_the_files():
    settings = '[tool.uv]\nindex-url = "https://elsewhere/simple"\n'
    recipe = recipe_of({"pyproject.toml": PYPROJECT + settings})
    assert recipe.dependencies
    assert recipe.dependency_files == ("pyproject.toml",)
    recipe = recipe_of({"pyproject.toml": PYPROJECT, "uv.toml": "no-index = true\n"})
    assert recipe.dependency_files == ("uv.toml",)


def test_without_such_settings_a_change_of_the_metadata_is_no_matter():
    recipe = recipe_of({"pyproject.toml": PYPROJECT + "[tool.ruff]\nline-length = 100\n"})
    assert recipe.dependencies
    assert recipe.dependency_files == ()


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.uv]\nfind-links = ["./wheels"]\n',
        '[tool.uv]\nindex-url = "file:///ci/workspace/index"\n',
        '[[tool.uv.index]]\nname = "mine"\nurl = "./index"\n',
        '[tool.uv.pip]\nfind-links = ["wheels"]\n',
    ],
)
def test_where_uv_is_led_into_the_project_all_is_installed_with_it(settings):
    recipe = recipe_of({"pyproject.toml": PYPROJECT + settings})
    assert (recipe.dependencies, recipe.dependency_files) == ((), ())
    assert "one" in recipe.project[0]


@pytest.mark.parametrize(
    "settings",
    [
        '[[tool.uv.index]]\nname = "mine"\nurl = "https://elsewhere/simple"\n',
        "[tool.uv]\nfind-links = 3\nindex = [3]\npip = 3\n",
        "[tool.uv]\ndev-dependencies = []\n",
    ],
)
def test_where_it_is_not_they_are_installed_before(settings):
    recipe = recipe_of({"pyproject.toml": PYPROJECT + settings})
    assert recipe.dependencies
    assert recipe.dependency_files == ("pyproject.toml",)
