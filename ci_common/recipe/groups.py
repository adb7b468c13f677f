"""Named lists of development needs: PEP 735's, uv's, PDM's, Poetry's, Hatch's environments."""

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.poetry import poetry_groups
from ci_common.recipe.requirement import Needs, normalize, sort_out, union
from ci_common.recipe.toml import Table, lenient_toml, string, strings, table

HATCH_TEST = Needs(
    requirements=("pytest", "pytest-mock", "pytest-rerunfailures", "pytest-xdist[psutil]")
)
"""What ``hatch test`` always has, as its documentation says."""


def dependency_groups(pyproject: Table) -> dict[str, Needs]:
    """Return all dependency groups of a ``pyproject.toml`` by normalized name."""
    found = {
        normalize(name): _group(items)
        for name, items in table(pyproject, "dependency-groups").items()
    }
    uv = sort_out(strings(table(pyproject, "tool", "uv").get("dev-dependencies")))
    older = [
        {"dev": uv} if uv else {},
        {
            normalize(name): sort_out(strings(value))
            for name, value in table(pyproject, "tool", "pdm", "dev-dependencies").items()
        },
        poetry_groups(table(pyproject, "tool", "poetry")),
    ]
    for groups in older:
        for name, needs in groups.items():
            found[name] = found.get(name, Needs()) + needs
    return found


def _group(items: object) -> Needs:
    tables = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    included = (string(item.get("include-group")) for item in tables)
    groups = tuple(normalize(name) for name in included if name)
    return sort_out(strings(items)) + Needs(groups=groups)


def hatch_environment(files: ProjectFiles, pyproject: Table, name: str) -> Needs:
    """Return what one of Hatch's environments holds, with what it takes from its templates."""
    hatch = lenient_toml(files.text("hatch.toml")) or table(pyproject, "tool", "hatch")
    envs = table(hatch, "envs")
    layers: dict[str, Needs] = {}
    while name in envs and name not in layers:
        env = table(envs, name)
        layers[name] = _layer(env)
        if name == "hatch-test":  # the one environment that inherits from nobody
            layers["always"] = Needs() if "dependencies" in env else HATCH_TEST
            break
        name = "" if env.get("detached") is True else string(env.get("template")) or "default"
    return union(reversed(layers.values()))


def _layer(env: Table) -> Needs:
    listed = strings(env.get("dependencies")) + strings(env.get("extra-dependencies"))
    return sort_out(listed) + Needs(
        extras=tuple(map(normalize, strings(env.get("features")))),
        groups=tuple(map(normalize, strings(env.get("dependency-groups")))),
    )
