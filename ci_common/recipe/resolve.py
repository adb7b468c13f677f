"""From groups, extras and files to plain requirements, as far as reading can follow them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.project import Project
from ci_common.recipe.requirement import Needs, parse_requirement, plain_path
from ci_common.recipe.requirement_files import RequirementsFile, read_requirements_file


@dataclass(slots=True)
class Resolved:
    """What there is to install. ``extras`` are those only the build of the project can resolve."""

    requirements: dict[str, None] = field(default_factory=dict)
    files: dict[str, RequirementsFile] = field(default_factory=dict)
    constraints: dict[str, RequirementsFile] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)
    extras: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.requirements or self.files or self.paths or self.extras)

    def names(self) -> Iterator[str]:
        """Yield the normalized names of all distributions asked for, those in files too."""
        for text in self.requirements:
            yield _name(text)
        for file in self.files.values():
            yield from map(_name, file.requirements)

    @property
    def has_pytest(self) -> bool:
        """Whether pytest comes with these: itself, or with a plugin of its own."""
        return any(name == "pytest" or name.startswith("pytest-") for name in self.names())


def _name(text: str) -> str:
    requirement = parse_requirement(text)
    return requirement.name if requirement else ""


def resolve(needs: Needs, project: Project, files: ProjectFiles) -> Resolved:
    """Return ``needs`` with groups, extras and files followed to their ends.

    What is named but not there is left out and noted: installing would fail on it.
    """
    found = Resolved()
    waiting, seen = [needs], set[str]()
    while waiting:
        part = waiting.pop(0)
        _take_requirements(part, project, found, waiting)
        _take_files(part, files, found)
        for group in part.groups:
            if group not in project.groups:
                found.notes[f"There is no dependency group `{group}`; it is left out."] = None
            elif f"group {group}" not in seen:
                waiting.append(project.groups[group])
            seen.add(f"group {group}")
        for extra in part.extras:
            if f"extra {extra}" not in seen:
                _take_extra(extra, project, found, waiting)
            seen.add(f"extra {extra}")
    return found


def _take_requirements(
    part: Needs, project: Project, found: Resolved, waiting: list[Needs]
) -> None:
    for text in part.requirements:
        requirement = parse_requirement(text)
        if requirement and project.name and requirement.name == project.name:
            waiting.append(Needs(extras=requirement.extras))
        else:
            found.requirements[text] = None


def _take_extra(extra: str, project: Project, found: Resolved, waiting: list[Needs]) -> None:
    if project.extras is None:
        found.extras[extra] = None
    elif extra not in project.extras:
        found.notes[f"The project has no extra `{extra}`; it is left out."] = None
    elif (needs := project.extras[extra]) is None:
        found.extras[extra] = None
    else:
        waiting.append(needs)


def _take_files(part: Needs, files: ProjectFiles, found: Resolved) -> None:
    for names, kept in ((part.files, found.files), (part.constraints, found.constraints)):
        for name in names:
            file = read_requirements_file(files, name)
            if file.missing:
                found.notes[_missing(file)] = None
            else:
                kept[name] = file
    for path in part.paths:
        if _is_inside(path, files):
            found.paths[path] = None
        else:
            found.notes[f"{path} is not in the project; it is left out."] = None


def _missing(file: RequirementsFile) -> str:
    if file.missing[0] == file.name:
        return f"{file.name} is named, but is not in the project; it is left out."
    return f"{file.name} reads {file.missing[0]}, which is not in the project; it is left out."


def _is_inside(path: str, files: ProjectFiles) -> bool:
    place = plain_path(path.partition("[")[0].partition(";")[0].strip())
    return place in files.folders or place in files.names
