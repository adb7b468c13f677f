"""Which of the many places that name development needs speaks for the tests."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from ci_common.recipe.groups import hatch_environment
from ci_common.recipe.listing import ProjectFiles, is_requirements_file
from ci_common.recipe.nox import nox_needs
from ci_common.recipe.poetry import pipfile_needs
from ci_common.recipe.project import Project
from ci_common.recipe.requirement import Needs
from ci_common.recipe.resolve import Resolved, resolve
from ci_common.recipe.toml import lenient_toml
from ci_common.recipe.tox import INSTALLERS, tox_needs

TEST_NAMES = ("test", "tests", "testing", "unittest", "unittests", "pytest", "unit")
DEV_NAMES = ("dev", "develop", "development", "devel", "ci")
LAST_NAMES = ("all", "full", "extra", "extras")

MAX_LEFTOVERS = 8
"""Places of each kind to look into where no name helps."""

_HATCH = {TEST_NAMES: ("hatch-test", "test", "tests", "testing"), DEV_NAMES: ("dev", "default")}
_OTHER_PURPOSES = {
    "doc",
    "docs",
    "lint",
    "linting",
    "mypy",
    "typing",
    "build",
    "release",
    "publish",
}
_FOLDERS = {"requirements", "requirement", "reqs", "test", "tests", "testing"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place, as people call it, and what it asks for."""

    origin: str
    needs: Needs


@dataclass(frozen=True, slots=True)
class Choice:
    """What the tests need, where that is said, and what was odd about it."""

    needs: Needs
    origins: tuple[str, ...]
    notes: tuple[str, ...]


def choose_test_needs(files: ProjectFiles, project: Project) -> Choice:
    """Return the needs of the tests: the first place that names any, up to one that has pytest.

    tox's own environment comes first, since it is what the project's authors
    run; then names that mean tests, then those that mean development. Places
    that bear other names count only if pytest is among what they ask for.
    """
    needs, origins, notes = Needs(), list[str](), dict[str, None]()
    for candidate, certain in _candidates(files, project):
        found = resolve(candidate.needs, project, files)
        notes |= found.notes if certain else {}
        if not found or not (found.has_pytest or (certain and not origins)):
            continue
        needs += candidate.needs
        origins.append(candidate.origin)
        if found.has_pytest or _is_opaque(found):
            break
    return Choice(needs, tuple(origins), tuple(notes))


def _is_opaque(found: Resolved) -> bool:
    """Whether pytest may be in there without our seeing it."""
    return bool(found.extras) or any(not file.requirements for file in found.files.values())


def _candidates(files: ProjectFiles, project: Project) -> Iterator[tuple[Candidate, bool]]:
    """Yield places with whether their name alone is enough to trust them."""
    source, needs = tox_needs(files, project.pyproject)
    yield Candidate(f"what {source} tests with", needs), True
    for names in (TEST_NAMES, DEV_NAMES):
        for candidate in _named(names, files, project):
            yield candidate, True
    for candidate in _named(LAST_NAMES, files, project):
        yield candidate, False
    for candidate in _leftovers(files, project):
        yield candidate, False


def _named(names: tuple[str, ...], files: ProjectFiles, project: Project) -> Iterator[Candidate]:
    if group := best_name(names, project.groups):
        yield Candidate(f"dependency group `{group}`", Needs(groups=(group,)))
    if extra := best_name(names, project.extras or ()):
        yield Candidate(f"extra `{extra}`", Needs(extras=(extra,)))
    for env in _HATCH.get(names, ()):
        yield Candidate(
            f"Hatch's environment `{env}`", hatch_environment(files, project.pyproject, env)
        )
    if file := best_requirements_file(names, files):
        yield Candidate(file, Needs(files=(file,)))
    if names == TEST_NAMES:
        yield Candidate("tests_require", project.setup.tests_require.without(*INSTALLERS))
        yield Candidate("noxfile.py", nox_needs(files))
    if names == DEV_NAMES:
        pipfile = lenient_toml(files.text("Pipfile"))
        yield Candidate("dev-packages of Pipfile", pipfile_needs(pipfile, "dev-packages"))


def _leftovers(files: ProjectFiles, project: Project) -> Iterator[Candidate]:
    for group in sorted(project.groups)[:MAX_LEFTOVERS]:
        yield Candidate(f"dependency group `{group}`", Needs(groups=(group,)))
    for extra in sorted(project.extras or ())[:MAX_LEFTOVERS]:
        yield Candidate(f"extra `{extra}`", Needs(extras=(extra,)))
    for name in sorted(name for name in files.contents if _is_a_choice(name))[:MAX_LEFTOVERS]:
        yield Candidate(name, Needs(files=(name,)))


def application_requirements(files: ProjectFiles) -> str:
    """Return the file that lists what an application needs to run, ``""`` if there is none."""
    usual = ("requirements.txt", "reqs.txt", "requirements.in")
    inside = ("requirements", "base", "common", "main", "prod", "production", "default")
    nested = (f"requirements/{name}.txt" for name in inside)
    return next((name for name in (*usual, *nested) if name in files.contents), "")


def best_name(names: Iterable[str], declared: Collection[str]) -> str:
    """Return the first of ``names`` that is declared, else the first that begins like one."""
    names = tuple(names)
    for name in names:
        if name in declared:
            return name
    near = sorted(found for found in declared if found.partition("-")[0] in names)
    return near[0] if near else ""


def best_requirements_file(names: tuple[str, ...], files: ProjectFiles) -> str:
    """Return the file of requirements that is named for the purpose, the shortest path first."""
    fitting = [name for name in files.contents if _is_a_choice(name) and _rank(name, names) < 99]
    return min(fitting, key=lambda name: (_rank(name, names), len(name), name), default="")


def _is_a_choice(name: str) -> bool:
    """Whether a file is where projects keep requirements, and not something they are made from."""
    path = PurePosixPath(name)
    placed = len(path.parts) == 1 or path.parts[0].lower() in _FOLDERS
    made_from = path.suffix == ".in" or "constraint" in path.name.lower()
    return placed and is_requirements_file(path) and not made_from


def _rank(name: str, names: tuple[str, ...]) -> int:
    path = PurePosixPath(name.lower())
    words = {*re.split(r"[-_.]", path.stem), *path.parts[:-1]}  # tests/requirements.txt
    if words & _OTHER_PURPOSES:
        return 99
    return min((names.index(word) for word in words if word in names), default=99)
