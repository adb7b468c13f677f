"""From what is needed to the shell commands that install it."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.project import Project
from ci_common.recipe.requirement import parse_requirement
from ci_common.recipe.requirement_files import RequirementsFile
from ci_common.recipe.resolve import Resolved
from ci_common.recipe.toml import Table, lenient_toml, table
from ci_common.recipe.versions import version_commands

EDITABLE_BACKENDS = {
    "setuptools",
    "hatchling",
    "flit_core",
    "poetry",
    "pdm",
    "uv_build",
    "maturin",
    "scikit_build_core",
}
"""Build backends, by their top package, that are known to install in place."""

COPYING_BACKENDS = {"mesonpy"}
"""Build backends whose in-place installs need their build tools again at every import."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The commands, split as ``Recipe`` has them, and the files the first ones read."""

    dependencies: tuple[str, ...]
    dependency_files: tuple[str, ...]
    project: tuple[str, ...]


def plan_installation(resolved: Resolved, project: Project, files: ProjectFiles) -> Installation:
    """Return the commands that install what is needed, then the project itself."""
    chosen = _outermost(resolved.files.values())
    early = [file for file in chosen if file.self_contained]
    late = [file for file in chosen if not file.self_contained]
    constraints = list(resolved.constraints.values())
    commands = _dependency_commands(resolved, early, constraints)
    settings_file, settings = _uv_settings(project, files)
    reads = (*_reads([*early, *constraints]), *settings_file)
    local = _local_commands(resolved, late, constraints)
    install = _install_project(resolved, project, files)
    if not all(file.self_contained for file in constraints) or _leads_into_project(settings):
        return Installation((), (), (*commands, *local, *install))
    if not (local or install) and commands == ("ci_pip install pytest",):
        commands = ("ci_need pytest",)
    return Installation(commands, reads, (*local, *install))


def _outermost(files: Iterable[RequirementsFile]) -> list[RequirementsFile]:
    """Return the files that no other one of them includes."""
    files = tuple(files)
    included = {name for file in files for name in file.reads if name != file.name}
    outermost = [file for file in files if file.name not in included]
    return outermost or list(files)  # files may include each other in a circle


def _reads(files: Iterable[RequirementsFile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for file in files for name in file.reads))


def _uv_settings(project: Project, files: ProjectFiles) -> tuple[tuple[str, ...], Table]:
    """Return the file that uv takes its settings from by itself, if there is one, and those."""
    if "uv.toml" in files.names:
        return ("uv.toml",), lenient_toml(files.text("uv.toml"))
    settings = table(project.pyproject, "tool", "uv")
    return (("pyproject.toml",) if settings else ()), settings


def _leads_into_project(settings: Table) -> bool:
    """Whether uv is told to look for packages in a folder of the project's own."""
    pip = table(settings, "pip")
    keys = ("index", "index-url", "extra-index-url", "find-links")
    places = [value for each in (settings, pip) for key in keys if (value := each.get(key))]
    return any("://" not in place or "file:" in place for place in _texts(places))


def _texts(value: object) -> Iterator[str]:
    """Yield where packages are, of what uv's settings say in several ways."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(value.get("url"))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _dependency_commands(
    resolved: Resolved, files: list[RequirementsFile], constraints: list[RequirementsFile]
) -> tuple[str, ...]:
    # pip wants hashes for all of a command or for none.
    hashed = [_pip(_options("-r", [file])) for file in files if file.hashed]
    words = [
        *_options("-r", [file for file in files if not file.hashed]),
        *_options("-c", constraints),
        *map(_readable, resolved.requirements),
    ]
    together = [_pip(words)] if resolved.requirements or "-r" in words else []
    return (*hashed, *together)


def _local_commands(
    resolved: Resolved, files: list[RequirementsFile], constraints: list[RequirementsFile]
) -> tuple[str, ...]:
    folders = [word for path in resolved.paths for word in ("-e", path)]
    words = [*_options("-r", files), *_options("-c", constraints), *folders]
    return (_pip(words),) if files or folders else ()


def _install_project(resolved: Resolved, project: Project, files: ProjectFiles) -> tuple[str, ...]:
    if not project.packaged:
        return ()
    target = f".[{','.join(resolved.extras)}]" if resolved.extras else "."
    complete = project.requires is not None and not resolved.extras
    options = ["--no-deps"] if complete else []
    in_place, plain = _pip([*options, "-e", target]), _pip([*options, target])
    command = _best(project, in_place, plain)
    version, _ = version_commands(files, project)
    return (f"({version}; {command})" if version else command,)


def _best(project: Project, in_place: str, plain: str) -> str:
    backend = project.backend.partition(".")[0]
    if backend in COPYING_BACKENDS:
        return plain
    certain = backend in EDITABLE_BACKENDS and not _is_special(project)
    return in_place if certain else f"{in_place} || {plain}"


def _is_special(project: Project) -> bool:
    """Whether code of the project's own takes part in its build, or setuptools is an old one.

    Builds that tolerate a missing compiler, for one, often do so only for copies.
    """
    own = "setup.py" in project.setup.present or "backend-path" in table(
        project.pyproject, "build-system"
    )
    found = map(parse_requirement, project.build_requires)
    held = any(r.name == "setuptools" and re.match(r"<|==|.*,\s*<", r.rest) for r in found if r)
    return own or held


def _options(option: str, files: Iterable[RequirementsFile]) -> list[str]:
    return [word for file in files for word in (option, file.name)]


def _readable(requirement: str) -> str:
    """Return a requirement so that quoting it for the shell leaves it readable."""
    return requirement if '"' in requirement else requirement.replace("'", '"')


def _pip(words: Iterable[str]) -> str:
    return shlex.join(["ci_pip", "install", *words])
