"""The recipe of a project: what its files say, and what it says itself on top."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from ci_common.errors import InvalidRecipe
from ci_common.recipe import notes
from ci_common.recipe.choice import application_requirements, choose_test_needs
from ci_common.recipe.commands import plan_installation
from ci_common.recipe.config import (
    NO_CONFIGURATION,
    Configuration,
    check_arguments,
    read_configuration,
)
from ci_common.recipe.listing import MAX_WANTED_BYTES, ProjectFiles, open_project, project_root
from ci_common.recipe.model import DEFAULT_COMMAND, Recipe
from ci_common.recipe.project import Project, read_project
from ci_common.recipe.pytest_plugins import missing_plugins, required_plugins
from ci_common.recipe.requirement import Needs
from ci_common.recipe.resolve import Resolved, resolve
from ci_common.recipe.toml import Table, parse_toml, table
from ci_common.recipe.uv_sources import with_sources

_MENTIONS_PYTEST = re.compile(r"\b(?:pytest|py\.test)\b")


def detect(
    names: Collection[str], files: Mapping[str, bytes], command: tuple[str, ...] | None = None
) -> Recipe:
    """Return the recipe of a zip with these ``names``, of whose files ``files`` were read.

    ``files`` are those that ``wanted_files`` asked for; the first
    ``MAX_WANTED_BYTES`` of each count. ``command`` is what the user typed after ``--`` and
    wins over everything.

    Raises:
        InvalidRecipe: the project's own configuration is wrong, or its
            ``pyproject.toml`` is not TOML; the text says what and where.

    """
    root = project_root(names)
    project = open_project(names, files, root)
    pyproject, configuration = _read_own(project)
    chosen, by = _choose_command(command, configuration)
    recipe = Recipe(root=root, command=chosen)
    if configuration.install is None:
        recipe = _detected(recipe, project, pyproject)
    recipe = replace(configuration.override(recipe), command=chosen)
    first = notes.opening(project, root)
    last = notes.closing(recipe.command_line, by, configuration)
    return replace(recipe, notes=notes.tidy((first, *recipe.notes[: notes.MAX_NOTES - 3], *last)))


def _read_own(files: ProjectFiles) -> tuple[Table, Configuration]:
    """Return ``pyproject.toml`` and the project's own configuration, which may be there."""
    alone = _parse(files, "ci.toml")
    own = read_configuration("ci.toml", alone) if alone is not None else NO_CONFIGURATION
    try:
        pyproject = _parse(files, "pyproject.toml") or {}
    except InvalidRecipe:
        # Nothing needs that file if all has been said: pip, uv and pytest would stop at it too.
        if own.install is not None and "command" in own.values:
            return {}, own
        raise
    if "ci" not in table(pyproject, "tool"):
        return pyproject, own
    if own.source:
        raise InvalidRecipe(
            "both ci.toml and [tool.ci] of pyproject.toml configure this project",
            hint="Keep one of them; docs/recipes.md says more.",
        )
    return pyproject, read_configuration("[tool.ci] of pyproject.toml", pyproject["tool"]["ci"])


def _parse(files: ProjectFiles, name: str) -> Table | None:
    if name not in files.names:
        return None
    if not files.is_whole(name):
        raise InvalidRecipe(f"{name} is too large: {MAX_WANTED_BYTES // 1024} KiB is the limit")
    try:
        return parse_toml(files.contents[name].decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidRecipe(f"{name} is not UTF-8 text (byte {error.start})") from error
    except ValueError as error:
        raise InvalidRecipe(f"{name} is not valid TOML: {error}") from error


def _choose_command(
    command: tuple[str, ...] | None, configuration: Configuration
) -> tuple[str | tuple[str, ...], str]:
    """Return the command and who gave it, ``""`` if nobody did."""
    if command:
        try:
            return check_arguments(command), "given with the submission"
        except ValueError as error:
            raise InvalidRecipe(f"the submitted command {error}") from error
    return configuration.values.get("command", DEFAULT_COMMAND), ""


def _detected(recipe: Recipe, files: ProjectFiles, pyproject: Table) -> Recipe:
    project = read_project(files, pyproject)
    choice = choose_test_needs(files, project)
    application = (
        "" if _lists_its_needs(project, choice.origins) else application_requirements(files)
    )
    asked = (project.requires or Needs()) + Needs(files=(application,) if application else ())
    resolved = resolve(asked + choice.needs, project, files)
    remarks = [*choice.notes, *resolved.notes, *_follow_sources(resolved, project, files)]
    bare = _add_pytest(recipe, resolved, files, project)
    installation = plan_installation(resolved, project, files)
    line = notes.installs(project, choice.origins, application=application, bare=bare)
    return replace(
        recipe,
        dependencies=installation.dependencies,
        dependency_files=installation.dependency_files,
        project=installation.project,
        path=() if project.packaged else _import_folders(files),
        notes=(line, *notes.pretended_version(files, project), *dict.fromkeys(remarks)),
    )


def _lists_its_needs(project: Project, origins: tuple[str, ...]) -> bool:
    """Whether a file of requirements would only repeat, or pin, what the project declares."""
    return bool(project.requires) or (project.packaged and bool(origins))


def _follow_sources(resolved: Resolved, project: Project, files: ProjectFiles) -> list[str]:
    """Take what has an address of its own from there; return what there is to say about it."""
    needs, left_out = with_sources(tuple(resolved.requirements), project.pyproject)
    followed = resolve(needs, project, files)
    resolved.requirements = followed.requirements
    resolved.paths |= followed.paths
    workspace = [f"{name} comes from a uv workspace; it is left out." for name in left_out]
    return [*followed.notes, *workspace]


def _add_pytest(recipe: Recipe, resolved: Resolved, files: ProjectFiles, project: Project) -> bool:
    """Have pytest and the plugins its configuration asks for; return whether it was missing."""
    if not _MENTIONS_PYTEST.search(recipe.command_line):
        return False
    plugins = required_plugins(files, project.pyproject)
    missing = missing_plugins(plugins, set(resolved.names()))
    bare = not resolved.has_pytest
    resolved.requirements |= dict.fromkeys((*(["pytest"] if bare else []), *missing))
    return bare


def _import_folders(files: ProjectFiles) -> tuple[str, ...]:
    return ("src", ".") if "src" in files.folders else (".",)
