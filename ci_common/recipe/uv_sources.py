"""``[tool.uv.sources]``: where uv takes a dependency from instead of the package index."""

from ci_common.recipe.poetry import git_address
from ci_common.recipe.requirement import (
    Needs,
    normalize,
    parse_requirement,
    plain_path,
    union,
)
from ci_common.recipe.toml import Table, string, table


def with_sources(requirements: tuple[str, ...], pyproject: Table) -> tuple[Needs, tuple[str, ...]]:
    """Return the requirements, those with a source taken from there, and names left out.

    A name in an index may belong to somebody else: what comes from a workspace
    that is not part of this project is left out rather than looked up.
    """
    declared = table(pyproject, "tool", "uv", "sources")
    sources = {normalize(name): _first(value) for name, value in declared.items()}
    found, left_out = [], []
    for text in requirements:
        requirement = parse_requirement(text)
        source = sources.get(requirement.name) if requirement else None
        if source is None or requirement is None or requirement.rest.startswith("@"):
            found.append(Needs(requirements=(text,)))
        elif source.get("workspace") is True:
            left_out.append(requirement.name)
        else:
            found.append(_from_source(text, source))
    return union(found), tuple(left_out)


def _first(value: object) -> Table | None:
    items = value if isinstance(value, list) else [value]
    return next((item for item in items if isinstance(item, dict)), None)


def _from_source(text: str, source: Table) -> Needs:
    if path := string(source.get("path")):
        return Needs(paths=(f"./{plain_path(path)}",))
    git = string(source.get("git"))
    address = git_address(git, source) if git else string(source.get("url"))
    if not address:  # an index of its own: the server's settings say which indexes there are
        return Needs(requirements=(text,))
    before, _, marker = text.partition(";")
    requirement = parse_requirement(before)
    name = before.removesuffix(requirement.rest).strip() if requirement else before
    return Needs(requirements=(f"{name} @ {address}" + (f" ; {marker.strip()}" if marker else ""),))
