"""What the first lines of a job's log say about its recipe."""

from ci_common.recipe.config import CONFIGURATION_KEYS, Configuration
from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.project import Project
from ci_common.recipe.versions import version_commands

MAX_NOTES = 20
MAX_NOTE = 300
"""Characters."""


def opening(files: ProjectFiles, root: str) -> str:
    """Return the line that says what the project is made of, as far as that was read."""
    top = [name for name in files.contents if "/" not in name and name != "PKG-INFO"]
    place = f" in {root}/" if root else ""
    if not top:
        return f"Found no Python packaging files{place}."
    return f"Found {', '.join(sorted(top))}{place}."


def installs(project: Project, origins: tuple[str, ...], *, application: str, bare: bool) -> str:
    """Return the line that says what will be installed, and who says so."""
    parts = ["the project's dependencies"] if project.requires else []
    parts += [application] if application else []
    parts += [f"for the tests {' and '.join(origins)}"] if origins else []
    parts += ["pytest"] if bare else []
    parts += ["the project itself"] if project.packaged else []
    return f"Installs {'; '.join(parts)}." if parts else "Installs nothing."


def pretended_version(files: ProjectFiles, project: Project) -> tuple[str, ...]:
    """Return the line about a version that git would know, if the build needs to be told one."""
    _, version = version_commands(files, project)
    return (
        (f"Its version comes from git, which is not here: taken as {version}.",) if version else ()
    )


def closing(command_line: str, by: str, configuration: Configuration) -> tuple[str, ...]:
    """Return the lines that say what runs and how to have it otherwise."""
    keys = ", ".join(CONFIGURATION_KEYS)
    lines = [f"Runs {command_line}{f' ({by})' if by else ''}."]
    if configuration.source:
        given = [*(["install"] if configuration.install is not None else []), *configuration.values]
        lines.append(f"{configuration.source} sets {', '.join(given) or 'nothing'}.")
    else:
        lines.append(
            f"To change this, add [tool.ci] to pyproject.toml, or ci.toml, with any of: {keys}."
        )
    return tuple(lines)


def tidy(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Return notes that are one printable line each, and not too many of them."""
    lines = ("".join(c if c.isprintable() else "?" for c in note[:MAX_NOTE]) for note in notes)
    return tuple(lines)[:MAX_NOTES]
