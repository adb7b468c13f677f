"""The project as its own metadata describes it: what it is called, needs and offers."""

from collections.abc import Mapping
from dataclasses import dataclass

from ci_common.recipe.groups import dependency_groups
from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.poetry import pipfile_needs, poetry_extras, poetry_requires
from ci_common.recipe.requirement import Needs, normalize, plain_path, sort_out
from ci_common.recipe.setuptools import SetupDeclarations
from ci_common.recipe.toml import Table, lenient_toml, string, strings, table


@dataclass(frozen=True, slots=True)
class Project:
    """What the files say.

    ``requires`` is None, and so are ``extras`` or one of them, where only
    building the project can tell. ``packaged`` says whether there is something
    to build and install at all.
    """

    name: str
    packaged: bool
    backend: str
    build_requires: tuple[str, ...]
    requires: Needs | None
    extras: Mapping[str, Needs | None] | None
    groups: Mapping[str, Needs]
    pyproject: Table
    setup: SetupDeclarations


def read_project(files: ProjectFiles, pyproject: Table) -> Project:
    """Return the project as ``pyproject.toml``, ``setup.cfg`` and ``setup.py`` describe it."""
    setup = SetupDeclarations(files)
    build = table(pyproject, "build-system")
    backend = string(build.get("build-backend")) or "setuptools.build_meta"
    packaged = is_packaged(pyproject, setup)
    requires, extras = _requires(files, pyproject, setup), _extras(pyproject, setup)
    return Project(
        name=_name(pyproject, setup),
        packaged=packaged,
        backend=backend,
        build_requires=(*strings(build.get("requires")), *setup.setup_requires),
        requires=requires if packaged else requires or Needs(),
        extras=extras if packaged else extras or {},
        groups=dependency_groups(pyproject),
        pyproject=pyproject,
        setup=setup,
    )


def is_packaged(pyproject: Table, setup: SetupDeclarations) -> bool:
    """Return whether the project is meant to be built and installed.

    As uv has it: a ``[project]`` without ``[build-system]`` is a list of
    dependencies, unless it has entry points, which only installing provides.
    """
    tool = table(pyproject, "tool")
    for switch in (
        table(tool, "poetry").get("package-mode"),
        table(tool, "uv").get("package"),
        table(tool, "pdm").get("distribution"),
    ):
        if isinstance(switch, bool):
            return switch
    if setup.describes_package:
        return True
    project = table(pyproject, "project")
    if "build-system" in pyproject:
        older = ("poetry", "flit")
        return bool(project) or any(table(tool, name) for name in older)
    return any(project.get(key) for key in ("scripts", "gui-scripts", "entry-points"))


def _name(pyproject: Table, setup: SetupDeclarations) -> str:
    tool = table(pyproject, "tool")
    given = (
        table(pyproject, "project").get("name"),
        table(tool, "poetry").get("name"),
        table(tool, "flit", "metadata").get("dist-name"),
        table(tool, "flit", "metadata").get("module"),
        setup.name,
    )
    return next((normalize(name) for name in map(string, given) if name), "")


def _requires(files: ProjectFiles, pyproject: Table, setup: SetupDeclarations) -> Needs | None:
    project = table(pyproject, "project")
    if project and "dependencies" not in strings(project.get("dynamic")):
        return sort_out(strings(project.get("dependencies")))
    dynamic = table(pyproject, "tool", "setuptools", "dynamic")
    if project and "dependencies" in dynamic:
        return _listed(dynamic["dependencies"])
    poetry = table(pyproject, "tool", "poetry")
    if table(poetry, "dependencies"):
        return poetry_requires(poetry)
    return None if project else _requires_without_project(files, pyproject, setup)


def _requires_without_project(
    files: ProjectFiles, pyproject: Table, setup: SetupDeclarations
) -> Needs | None:
    if flit := table(pyproject, "tool", "flit", "metadata"):
        return sort_out(strings(flit.get("requires")))
    if not setup.present and (pipfile := lenient_toml(files.text("Pipfile"))):
        return pipfile_needs(pipfile, "packages")
    return setup.requires


def _extras(pyproject: Table, setup: SetupDeclarations) -> Mapping[str, Needs | None] | None:
    project, poetry = table(pyproject, "project"), table(pyproject, "tool", "poetry")
    if project and "optional-dependencies" not in strings(project.get("dynamic")):
        declared = table(project, "optional-dependencies")
        return {normalize(name): sort_out(strings(value)) for name, value in declared.items()}
    dynamic = table(pyproject, "tool", "setuptools", "dynamic", "optional-dependencies")
    if project and dynamic:
        return {normalize(name): _listed(value) for name, value in dynamic.items()}
    if poetry:
        return dict(poetry_extras(poetry))
    if flit := table(pyproject, "tool", "flit", "metadata", "requires-extra"):
        return {normalize(name): sort_out(strings(value)) for name, value in flit.items()}
    return None if project else setup.extras


def _listed(value: object) -> Needs:
    """Return the files of setuptools' ``{ file = ["requirements.txt"] }``."""
    listed = value.get("file") if isinstance(value, dict) else None
    return Needs(files=tuple(map(plain_path, strings(listed))))
