import pytest

from tests.unit.recipe.projects import recipe_of


def build(*requires: str, more: str = "") -> str:
    listed = ", ".join(f'"{name}"' for name in requires)
    build_system = f"[build-system]\nrequires = [{listed}]\n"
    return f'{build_system}[project]\nname = "a"\ndynamic = ["version"]\n{more}'


SCM = "SETUPTOOLS_SCM_PRETEND_VERSION"

FROM_GIT = {
    "setuptools-scm": ({"pyproject.toml": build("setuptools_scm[toml]>=8")}, f"{SCM}=0.0.0"),
    "hatch-vcs in an sdist": (
        {"pyproject.toml": build("hatch-vcs"), "PKG-INFO": "Name: a\nVersion: 1.2\n"},
        f"{SCM}=1.2",
    ),
    "fallback": (
        {
            "pyproject.toml": build(
                "setuptools_scm", more='[tool.setuptools_scm]\nfallback_version = "7"'
            )
        },
        f"{SCM}=7",
    ),
    "setup.py": ({"setup.py": "setup(name='a', use_scm_version=True)"}, f"{SCM}=0.0.0"),
    "pbr": ({"setup.py": "setup(setup_requires=['pbr'], pbr=True)"}, "PBR_VERSION=0.0.0"),
    "pdm": (
        {"pyproject.toml": build("pdm-backend", more='[tool.pdm.version]\nsource = "scm"')},
        "PDM_BUILD_SCM_VERSION=0.0.0",
    ),
    "versioningit": ({"pyproject.toml": build("versioningit")}, ">PKG-INFO"),
}


@pytest.mark.parametrize(("files", "assignment"), FROM_GIT.values(), ids=FROM_GIT.keys())
def test_a_version_that_git_would_know_is_given(files, assignment):
    recipe = recipe_of(files)

    assert assignment in recipe.project[-1]
    assert "ci_pip install" in recipe.project[-1]
    assert any("version comes from git" in note for note in recipe.notes)


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": build("setuptools", "setuptools_scm"), ".git/HEAD": ""},
        {"pyproject.toml": build("setuptools")},
    ],
    ids=["git came along", "version in the files"],
)
def test_a_version_the_build_finds_by_itself_is_left_alone(files):
    assert "export" not in recipe_of(files).project[-1]


INI = {
    "pytest.ini": {"pytest.ini": "[pytest]\naddopts = --cov=a -n auto\n"},
    "pyproject list": {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--cov", "-n4"]'},
    "setup.cfg": {"setup.cfg": "[tool:pytest]\naddopts = --cov-report=xml --numprocesses=2\n"},
    "tox.ini": {"tox.ini": "[pytest]\nrequired_plugins = pytest-cov pytest-xdist\n"},
}


@pytest.mark.parametrize("files", INI.values(), ids=INI.keys())
def test_plugins_that_the_configuration_uses_are_installed(files):
    assert recipe_of(files).dependencies == ("ci_pip install pytest pytest-cov pytest-xdist",)


def test_plugins_that_are_declared_are_not_asked_for_twice():
    recipe = recipe_of(
        {"pytest.ini": "[pytest]\naddopts = --cov\n", "requirements-test.txt": "pytest_cov<6\n"}
    )

    assert recipe.dependencies == ("ci_pip install -r requirements-test.txt",)


def test_options_that_only_begin_like_a_plugins_are_not_taken_for_it():
    recipe = recipe_of({"pytest.ini": "[pytest]\naddopts = -nope --covered --dist_x -ra\n"})

    assert recipe.dependencies == ("ci_need pytest",)
