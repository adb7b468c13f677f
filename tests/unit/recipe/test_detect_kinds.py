"""One row per kind of project: what is installed before it, and how it is installed itself."""

import pytest

from tests.unit.recipe.projects import recipe_of

BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
IN_PLACE = ("ci_pip install --no-deps -e .",)
# A setup.py can do anything, so there must be a way out.
PREFERABLY = ("ci_pip install --no-deps -e . || ci_pip install --no-deps .",)

KINDS = {
    "nothing but tests": ({"test_a.py": ""}, ("ci_need pytest",), ()),
    "project without build system": (
        {"pyproject.toml": '[project]\nname = "a"\ndependencies = ["attrs"]'},
        ("ci_pip install attrs pytest",),
        (),
    ),
    "entry points need installing": (
        {"pyproject.toml": '[project]\nname = "a"\nscripts = { a = "a:main" }'},
        ("ci_pip install pytest",),
        IN_PLACE,
    ),
    "PEP 621 extra": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\ndependencies = ["attrs>=22"]\n'
            "[project.optional-dependencies]\n"
            'docs = ["sphinx"]\ntests = ["pytest>=8", "hypothesis"]'
        },
        ("ci_pip install 'attrs>=22' 'pytest>=8' hypothesis",),
        IN_PLACE,
    ),
    "extra that names other extras": (
        {
            "pyproject.toml": BUILD
            + '[project]\nname = "My.Lib"\n[project.optional-dependencies]\n'
            'http = ["httpx"]\nTest_All = ["my_lib[http]", "pytest"]'
        },
        ("ci_pip install pytest httpx",),
        IN_PLACE,
    ),
    "test is preferred to dev": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n[project.optional-dependencies]\n'
            'dev = ["ruff", "pytest"]\ntest = ["pytest", "mock"]'
        },
        ("ci_pip install pytest mock",),
        IN_PLACE,
    ),
    "dev joins a test extra without pytest": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n[project.optional-dependencies]\n'
            'dev = ["pytest>=8"]\ntest = ["mock"]'
        },
        ("ci_pip install mock 'pytest>=8'",),
        IN_PLACE,
    ),
    "PEP 735 groups that include each other": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n[dependency-groups]\n'
            'test = ["pytest", {include-group = "base"}]\n'
            'base = ["mock", {include-group = "test"}]'
        },
        ("ci_pip install pytest mock",),
        IN_PLACE,
    ),
    "Poetry": (
        {
            "pyproject.toml": '[build-system]\nbuild-backend = "poetry.core.masonry.api"\n'
            '[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\npython = "^3.9"\n'
            'requests = "^2.28"\nextra = { version = "*", optional = true }\n'
            '[tool.poetry.group.test.dependencies]\npytest = "~8.1"'
        },
        ("ci_pip install 'requests>=2.28,<3' 'pytest>=8.1,<8.2'",),
        IN_PLACE,
    ),
    "Poetry without a package": (
        {
            "pyproject.toml": "[tool.poetry]\npackage-mode = false\n"
            '[tool.poetry.dependencies]\nrequests = "*"\n'
            '[tool.poetry.dev-dependencies]\npytest = "*"'
        },
        ("ci_pip install requests pytest",),
        (),
    ),
    "Hatch's environment with its template": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n'
            '[tool.hatch.envs.default]\ndependencies = ["mock"]\n'
            '[tool.hatch.envs.test]\ndependencies = ["pytest"]'
        },
        ("ci_pip install mock pytest",),
        IN_PLACE,
    ),
    "hatch test": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n'
            '[tool.hatch.envs.hatch-test]\nextra-dependencies = ["mock"]'
        },
        ("ci_pip install pytest pytest-mock pytest-rerunfailures 'pytest-xdist[psutil]' mock",),
        IN_PLACE,
    ),
    "PDM": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n'
            '[tool.pdm.dev-dependencies]\ntest = ["pytest", "-e file:///${PROJECT_ROOT}/x"]'
        },
        ("ci_pip install pytest",),
        IN_PLACE,
    ),
    "uv's own list": (
        {
            "pyproject.toml": BUILD + '[project]\nname = "a"\n'
            '[tool.uv]\ndev-dependencies = ["pytest>=8"]'
        },
        ("ci_pip install 'pytest>=8'",),
        IN_PLACE,
    ),
    "flit's old metadata": (
        {
            "pyproject.toml": '[build-system]\nbuild-backend = "flit_core.buildapi"\n'
            '[tool.flit.metadata]\nmodule = "a"\nrequires = ["attrs"]\n'
            '[tool.flit.metadata.requires-extra]\ntest = ["pytest"]'
        },
        ("ci_pip install attrs pytest",),
        IN_PLACE,
    ),
    "setup.cfg": (
        {
            "setup.cfg": "[metadata]\nname = a\n[options]\ninstall_requires =\n  attrs\n  six>1\n"
            "[options.extras_require]\ntesting =\n  pytest\n",
            "setup.py": "from setuptools import setup\nsetup()\n",
        },
        ("ci_pip install attrs 'six>1' pytest",),
        PREFERABLY,
    ),
    "setup.py with constants": (
        {
            "setup.py": "import setuptools\nbase = ['six']\nextras = {'docs': ['sphinx']}\n"
            "extras['test'] = ['pytest'] + ['mock']\n"
            "setuptools.setup(name='a', install_requires=base, extras_require=extras)\n"
        },
        ("ci_pip install six pytest mock",),
        PREFERABLY,
    ),
    "setup.py that computes": (
        {
            "setup.py": "from setuptools import setup\n"
            "setup(name='a', install_requires=read(), extras_require={'test': read()})\n"
        },
        ("ci_pip install pytest",),
        ("ci_pip install -e '.[test]' || ci_pip install '.[test]'",),
    ),
    "setup.py that changes its list": (
        {
            "setup.py": "from setuptools import setup\nneeds = ['six']\n"
            "if True:\n    needs.append('x')\nsetup(name='a', install_requires=needs)\n"
        },
        ("ci_pip install pytest",),
        ("ci_pip install -e . || ci_pip install .",),
    ),
    "setuptools reads a file": (
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "a"\n'
            'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\n'
            'dependencies = { file = "requirements.txt" }',
            "requirements.txt": "attrs\n",
        },
        ("ci_pip install -r requirements.txt pytest",),
        IN_PLACE,
    ),
    "an application's requirements": (
        {"requirements.txt": "flask\n", "app.py": ""},
        ("ci_pip install -r requirements.txt pytest",),
        (),
    ),
    "requirements folder": (
        {
            "requirements/base.txt": "flask\n",
            "requirements/test.txt": "-r base.txt\npytest\n",
            "requirements/dev.txt": "-r test.txt\nruff\n",
        },
        ("ci_pip install -r requirements/test.txt",),
        (),
    ),
    "requirements beside the tests": (
        {"tests/requirements.txt": "pytest\nmock\n", "setup.py": "setup(name='a')"},
        ("ci_pip install -r tests/requirements.txt",),
        PREFERABLY,
    ),
    "requirements for documentation are not for tests": (
        {"requirements-test-docs.txt": "pytest\nsphinx\n", "requirements-dev.txt": "pytest\n"},
        ("ci_pip install -r requirements-dev.txt",),
        (),
    ),
    "hashes go alone": (
        {"requirements.txt": "flask==3 \\\n  --hash=sha256:00\n"},
        ("ci_pip install -r requirements.txt", "ci_pip install pytest"),
        (),
    ),
    "requirements that install the project come with the project": (
        {"requirements-dev.txt": "-e .\npytest\n", "setup.py": "setup(name='a')"},
        (),
        ("ci_pip install -r requirements-dev.txt", *PREFERABLY),
    ),
    "tests_require": (
        {"setup.py": "setup(name='a', tests_require=['mock', 'pytest', 'tox'])"},
        ("ci_pip install mock pytest",),
        PREFERABLY,
    ),
    "a group of another name that has pytest": (
        {
            "pyproject.toml": BUILD
            + '[project]\nname = "a"\n[dependency-groups]\nqa = ["pytest-cov"]'
        },
        ("ci_pip install pytest-cov",),
        IN_PLACE,
    ),
    "Pipfile": (
        {"Pipfile": '[packages]\nflask = "*"\n[dev-packages]\npytest = ">=8"'},
        ("ci_pip install flask 'pytest>=8'",),
        (),
    ),
    "a backend that may not install in place": (
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "hook"\n'
            'backend-path = ["."]\n[project]\nname = "a"'
        },
        ("ci_pip install pytest",),
        ("ci_pip install --no-deps -e . || ci_pip install --no-deps .",),
    ),
    "a backend that needs its tools to import in place": (
        {"pyproject.toml": '[build-system]\nbuild-backend = "mesonpy"\n[project]\nname = "a"'},
        ("ci_pip install pytest",),
        ("ci_pip install --no-deps .",),
    ),
    "uv's sources": (
        {
            "pyproject.toml": '[project]\nname = "a"\ndependencies = ["b>1", "c", "d"]\n'
            '[tool.uv.sources]\nb = { git = "https://h/b", tag = "v1" }\n'
            'c = { path = "libs/c" }\nd = { workspace = true }',
            "libs/c/setup.py": "",
        },
        ("ci_pip install 'b @ git+https://h/b@v1' pytest",),
        ("ci_pip install -e ./libs/c",),
    ),
}


@pytest.mark.parametrize(("files", "dependencies", "project"), KINDS.values(), ids=KINDS.keys())
def test_each_kind_is_installed_as_its_files_say(files, dependencies, project):
    recipe = recipe_of(files)

    assert recipe.dependencies == dependencies
    assert recipe.project == project
    assert recipe.command == ("python", "-m", "pytest")


def test_files_that_the_dependencies_read_are_all_named():
    recipe = recipe_of(
        {
            "requirements/base.txt": "-c limits.txt\nflask\n",
            "requirements/limits.txt": "flask<4\n",
            "requirements/test.txt": "-r base.txt\npytest\n",
        }
    )

    assert recipe.dependency_files == (
        "requirements/test.txt",
        "requirements/base.txt",
        "requirements/limits.txt",
    )


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"test_a.py": ""}, (".",)),
        ({"src/a.py": "", "tests/test_a.py": ""}, ("src", ".")),
        ({"setup.py": "setup(name='a')", "src/a.py": ""}, ()),
    ],
    ids=["flat", "src", "installed"],
)
def test_what_is_not_installed_can_be_imported_from_its_folder(files, path):
    assert recipe_of(files).path == path


def test_files_named_but_missing_are_left_out_and_said():
    recipe = recipe_of({"requirements-test.txt": "-r base.txt\n", "requirements-dev.txt": "pytest"})

    assert recipe.dependencies == ("ci_pip install -r requirements-dev.txt",)
    assert any("base.txt" in note and "left out" in note for note in recipe.notes)


def test_a_workspace_member_is_not_looked_up_in_the_index():
    recipe = recipe_of(
        {
            "pyproject.toml": '[project]\nname = "a"\ndependencies = ["secret-lib"]\n'
            "[tool.uv.sources]\nsecret-lib = { workspace = true }"
        }
    )

    assert recipe.dependencies == ("ci_need pytest",)
    assert any("secret-lib" in note for note in recipe.notes)


def test_the_first_note_says_what_was_found_and_the_last_how_to_change_it():
    notes = recipe_of({"setup.py": "setup(name='a')"}).notes

    assert notes[0] == "Found setup.py."
    assert "Installs" in notes[1]
    assert "ci.toml" in notes[-1]


def test_notes_are_single_printable_lines():
    recipe = recipe_of({"requirements-\x1b[2Jtest.txt": "-r gone\nx"})

    assert all(note.isprintable() for note in recipe.notes)
