"""Plugins that pytest's own configuration cannot do without.

pytest stops at an option it does not know, so a project whose configuration
says ``--cov`` and which declares nothing still needs pytest-cov.
"""

from collections.abc import Iterator

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.requirement import normalize, parse_requirement
from ci_common.recipe.setuptools import read_ini
from ci_common.recipe.toml import Table, lenient_toml, strings, table

OPTIONS = {
    "--cov": "pytest-cov",
    "--no-cov": "pytest-cov",
    "-n": "pytest-xdist",
    "--numprocesses": "pytest-xdist",
    "--dist": "pytest-xdist",
    "--timeout": "pytest-timeout",
    "--reruns": "pytest-rerunfailures",
    "--benchmark": "pytest-benchmark",
    "--asyncio-mode": "pytest-asyncio",
    "--hypothesis": "hypothesis",
    "--html": "pytest-html",
    "--mypy": "pytest-mypy",
    "--random-order": "pytest-random-order",
    "--ds": "pytest-django",
}
"""Command-line options, by how they begin, and the distribution that brings them."""

SETTINGS = {
    "asyncio_mode": "pytest-asyncio",
    "asyncio_default_fixture_loop_scope": "pytest-asyncio",
    "django_settings_module": "pytest-django",
    "timeout": "pytest-timeout",
    "mock_use_standalone_module": "pytest-mock",
    "qt_api": "pytest-qt",
    "trio_mode": "pytest-trio",
}
"""Keys of pytest's configuration and the distribution that reads them."""


def required_plugins(files: ProjectFiles, pyproject: Table) -> tuple[str, ...]:
    """Return requirements for the plugins that pytest's configuration names or uses."""
    settings = _settings(files, pyproject)
    listed = [part for text in strings(settings.get("required_plugins")) for part in text.split()]
    needed = [text for text in listed if parse_requirement(text)]
    words = [word for text in strings(settings.get("addopts")) for word in text.split()]
    needed += [plugin for word in words for plugin in _plugins_of(word)]
    needed += [plugin for key, plugin in SETTINGS.items() if key in settings]
    return tuple(dict.fromkeys(needed))


def missing_plugins(plugins: tuple[str, ...], installed: set[str]) -> tuple[str, ...]:
    """Return those of the plugins whose distribution is not among normalized names."""
    return tuple(text for text in plugins if _name(text) not in installed)


def _name(text: str) -> str:
    requirement = parse_requirement(text)
    return requirement.name if requirement else normalize(text)


def _plugins_of(word: str) -> Iterator[str]:
    word = word.strip("'\"")
    for option, plugin in OPTIONS.items():
        if not word.startswith(option):
            continue
        rest = word.removeprefix(option)
        # -n4, --cov=src and --cov-report; but not --database, which only begins like --ds would.
        if not rest or rest[0] in "=-" or (len(option) == 2 and (rest.isdigit() or rest == "auto")):
            yield plugin


def _settings(files: ProjectFiles, pyproject: Table) -> Table:
    """Return pytest's configuration from the first file that pytest itself would take it from."""
    toml = lenient_toml(files.text("pytest.toml"))
    found: list[Table] = [
        table(toml, "pytest"),
        read_ini(files.text("pytest.ini")).get("pytest", {}),
        read_ini(files.text(".pytest.ini")).get("pytest", {}),
        table(pyproject, "tool", "pytest", "ini_options"),
        table(pyproject, "tool", "pytest"),
        read_ini(files.text("tox.ini")).get("pytest", {}),
        read_ini(files.text("setup.cfg")).get("tool:pytest", {}),
    ]
    first: Table = next((settings for settings in found if settings), {})
    return {key.lower(): value for key, value in first.items()}
