import re
from pathlib import Path

import pytest

from ci_common.errors import InvalidRecipe
from ci_common.recipe import CONFIGURATION_KEYS
from tests.unit.recipe.projects import recipe_of

EVERYTHING = """
image = "python:3.13-slim"
install = ["pip install -e .", "make data"]
command = ["python", "-m", "unittest"]
env = { DEBUG = "1", LEVEL = 3 }
secrets = ["TOKEN", "KEY", "TOKEN"]
timeout = "1h30m"
memory = "2g"
cpus = 0.5
pids = 64
disk = "1g"
network = "none"
artifacts = ["htmlcov/**", "report.xml"]
reports = ["build/*.xml"]
coverage = ["cov.xml"]
"""


def test_every_key_is_taken_as_it_is_said():
    recipe = recipe_of({"ci.toml": EVERYTHING})

    assert recipe.image == "python:3.13-slim"
    assert recipe.dependencies == ()
    assert recipe.project == ("ci_venv with-pip", "pip install -e .", "make data")
    assert recipe.command == ("python", "-m", "unittest")
    assert recipe.env == {"DEBUG": "1", "LEVEL": "3"}
    assert recipe.secrets == ("TOKEN", "KEY")
    assert recipe.timeout == 5400
    assert recipe.memory == 2 * 1024**3
    assert (recipe.cpus, recipe.network) == (0.5, "none")
    assert (recipe.pids, recipe.disk) == (64, 1024**3)
    assert recipe.artifacts == ("htmlcov/**", "report.xml")
    assert (recipe.reports, recipe.coverage) == (("build/*.xml",), ("cov.xml",))
    assert set(CONFIGURATION_KEYS) == {
        line.split(" =")[0] for line in EVERYTHING.split("\n") if line
    }


def test_keys_are_taken_one_by_one_over_what_is_detected():
    recipe = recipe_of(
        {
            "pyproject.toml": '[project]\nname = "a"\ndependencies = ["attrs"]\n'
            '[tool.ci]\ncommand = "pytest -x"\n'
        }
    )

    assert recipe.dependencies == ("ci_pip install attrs pytest",)
    assert recipe.command == "pytest -x"


def test_no_install_means_none():
    recipe = recipe_of({"ci.toml": "install = []", "requirements.txt": "flask"})

    assert (recipe.dependencies, recipe.project) == ((), ())


def test_commands_that_do_not_touch_python_need_no_environment():
    assert recipe_of({"ci.toml": 'install = ["make"]'}).project == ("make",)


def test_the_submitted_command_wins():
    recipe = recipe_of({"ci.toml": 'command = "make"'}, ("pytest", "-k", "a b"))

    assert recipe.command == ("pytest", "-k", "a b")
    assert any("given with the submission" in note for note in recipe.notes)


def test_pytest_is_not_installed_for_a_command_that_is_not_pytest():
    assert recipe_of({"test_a.py": ""}, ("ls", "-l")).dependencies == ()


def test_a_configuration_inside_the_top_folder_of_the_zip_counts():
    assert recipe_of({"a-main/ci.toml": "cpus = 3", "a-main/a.py": ""}).cpus == 3


REFUSED = {
    "unknown key": ("comand = 'x'", "Did you mean `command`?"),
    "key like no other": ("zzz = 1", "It knows: image, install"),
    "image": ("image = 3", "`image`: must be the name of an image"),
    "image with blanks": ("image = 'a b'", "`image`"),
    "install as text": ("install = 'pip install x'", "`install`: must be a list of shell commands"),
    "install of numbers": ("install = [1]", "`install`"),
    "empty command": ("command = []", "`command`"),
    "blank command": ("command = '  '", "`command`"),
    "command of numbers": ("command = ['a', 1]", "every argument is text"),
    "env as list": ("env = ['A=1']", "`env`: must be a table"),
    "env name": ("env = { 'A-B' = '1' }", "'A-B' is no name of a variable"),
    "env of the shell's": ("env = { UID = '1' }", "UID belongs to the shell"),
    "env value": ("env = { A = true }", "A must be text or a number"),
    "NUL": ('env = { A = "\\u0000" }', "NUL"),
    "timeout": ("timeout = 'soon'", "'soon' cannot be used: give seconds"),
    "timeout of nothing": ("timeout = 0", "more than 0"),
    "endless timeout": ("timeout = inf", "more than 0"),
    "true timeout": ("timeout = true", "not true or false"),
    "memory": ("memory = 'much'", "give a number of bytes"),
    "little memory": ("memory = '1m'", '"6m" is the least'),
    "cpus": ("cpus = '2'", "`cpus`: must be a number of cores"),
    "network": ("network = 'host'", '"bridge" (with network) or "none"'),
    "artifacts": ("artifacts = 'a'", "`artifacts`: must be a list"),
    "artifacts elsewhere": ("artifacts = ['../a']", "leaves the project"),
    "a date": ("image = 2026-01-01", "not a date or time"),
    "not TOML": ("image =", "ci.toml is not valid TOML"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_says_what_is_allowed(text, says):
    with pytest.raises(InvalidRecipe) as refusal:
        recipe_of({"ci.toml": text})

    assert says in refusal.value.detail
    assert "ci.toml" in refusal.value.detail


def test_messages_name_the_table_in_pyproject():
    with pytest.raises(InvalidRecipe, match=r"^\[tool\.ci\] of pyproject\.toml, `cpus`"):
        recipe_of({"pyproject.toml": "[tool.ci]\ncpus = 'x'"})


def test_tool_ci_must_be_a_table():
    with pytest.raises(InvalidRecipe, match="must be a table, not a number"):
        recipe_of({"pyproject.toml": "[tool]\nci = 3"})


def test_two_configurations_are_one_too_many():
    with pytest.raises(InvalidRecipe, match=r"both ci\.toml and \[tool\.ci\]"):
        recipe_of({"ci.toml": "cpus = 1", "pyproject.toml": "[tool.ci]\ncpus = 1"})


@pytest.mark.parametrize("text", ["[project\nname = 1", "a = 1\na = 2\n"])
def test_a_broken_pyproject_is_refused_with_the_place(text):
    with pytest.raises(InvalidRecipe, match=r"pyproject\.toml is not valid TOML: .*line"):
        recipe_of({"pyproject.toml": text, "setup.py": "setup()"})


def test_a_broken_pyproject_does_not_matter_if_ci_toml_says_it_all():
    recipe = recipe_of({"pyproject.toml": "[", "ci.toml": "install = []\ncommand = 'make'"})

    assert recipe.command == "make"


@pytest.mark.parametrize("command", [("",), ("a", "\0")])
def test_a_submitted_command_no_program_could_get_is_refused(command):
    with pytest.raises(InvalidRecipe, match="the submitted command"):
        recipe_of({}, command)


DOCUMENTATION = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()


def test_every_key_is_documented():
    for key in CONFIGURATION_KEYS:
        assert f"| `{key}` |" in DOCUMENTATION


def test_the_documented_example_is_valid_and_has_every_key():
    example = re.search(r"```toml\n(\[tool\.ci\].*?)```", DOCUMENTATION, re.DOTALL)
    assert example
    recipe = recipe_of({"pyproject.toml": example[1]})

    assert recipe.timeout == 600
    assert all(f"\n{key} = " in example[1] for key in CONFIGURATION_KEYS)
