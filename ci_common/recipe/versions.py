"""Versions for projects that take theirs from git, which a submitted project does not bring."""

import re
import shlex

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.project import Project
from ci_common.recipe.requirement import parse_requirement
from ci_common.recipe.toml import string, table

UNKNOWN_VERSION = "0.0.0"

VARIABLES = {
    "setuptools-scm": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "vcs-versioning": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "hatch-vcs": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "pbr": "PBR_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}
"""Build requirements that read the version from git, and how each is told one instead."""

_VERSION = re.compile(r"[0-9A-Za-z.!+_-]{1,100}")


def version_commands(files: ProjectFiles, project: Project) -> tuple[str, str]:
    """Return shell commands that give a build its version, and the version.

    Both are empty where the build finds the version by itself: in its files,
    or in the ``.git`` that came along.
    """
    if ".git" in files.folders:
        return "", ""
    version = known_version(files, project)
    names = {found.name for text in project.build_requires if (found := parse_requirement(text))}
    if project.setup.says("use_scm_version"):
        names.add("setuptools-scm")
    variables = {VARIABLES[name] for name in names & VARIABLES.keys()}
    if table(project.pyproject, "tool", "pdm", "version").get("source") == "scm":
        variables.add("PDM_BUILD_SCM_VERSION")
    if variables:
        exports = " ".join(f"{name}={shlex.quote(version)}" for name in sorted(variables))
        return f"export {exports}", version
    if "versioningit" in names and "PKG-INFO" not in files.names:
        # It takes no variable, but believes the file that every source distribution has.
        lines = ("Metadata-Version: 2.1", f"Name: {project.name}", f"Version: {version}")
        return f"printf '%s\\n' {shlex.join(lines)} >PKG-INFO", version
    return "", ""


def known_version(files: ProjectFiles, project: Project) -> str:
    """Return the version a source distribution or a fallback setting names, else ``0.0.0``."""
    info = re.search(r"^Version:[ \t]*(\S+)", files.text("PKG-INFO") or "", re.MULTILINE)
    tool = table(project.pyproject, "tool")
    given = (
        info[1] if info else "",
        string(table(tool, "setuptools_scm").get("fallback_version")),
        string(table(tool, "hatch", "version").get("fallback-version")),
        string(table(tool, "hatch", "version", "raw-options").get("fallback_version")),
        string(table(tool, "pdm", "version").get("fallback_version")),
    )
    return next((found for found in given if _VERSION.fullmatch(found)), UNKNOWN_VERSION)
