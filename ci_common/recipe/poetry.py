"""Poetry's way to write dependencies, as PEP 508 texts."""

import re
from collections.abc import Iterable, Mapping

from ci_common.recipe.requirement import Needs, normalize, plain_path, union
from ci_common.recipe.toml import Table, string, strings, table

LONGEST_CONSTRAINT = 200
"""Characters; far more than any version constraint has."""


def poetry_requires(poetry: Table) -> Needs:
    """Return what a ``[tool.poetry]`` project needs to run; optional ones belong to extras."""
    return _needs(table(poetry, "dependencies"))


def poetry_extras(poetry: Table) -> dict[str, Needs]:
    """Return the extras of ``[tool.poetry.extras]`` by normalized name."""
    declared = {normalize(name): value for name, value in table(poetry, "dependencies").items()}
    found = {}
    for extra, names in table(poetry, "extras").items():
        members = {name: _required(declared.get(normalize(name), "*")) for name in strings(names)}
        found[normalize(extra)] = _needs(members)
    return found


def poetry_groups(poetry: Table) -> dict[str, Needs]:
    """Return the dependency groups by normalized name, the old ``dev-dependencies`` as ``dev``."""
    found = {"dev": _needs(table(poetry, "dev-dependencies"))}
    for name in table(poetry, "group"):
        group = normalize(name)
        needs = _needs(table(poetry, "group", name, "dependencies"))
        found[group] = found.get(group, Needs()) + needs
    return {name: needs for name, needs in found.items() if needs}


def pipfile_needs(pipfile: Table, section: str) -> Needs:
    """Return what a section of a ``Pipfile`` asks for."""
    return _needs(table(pipfile, section))


def _required(value: object) -> object:
    return {**value, "optional": False} if isinstance(value, dict) else value


def _needs(dependencies: Mapping[str, object]) -> Needs:
    return union(
        _one(name, one)
        for name, value in dependencies.items()
        for one in (value if isinstance(value, list) else [value])
        if normalize(name) != "python"
    )


def _one(name: str, value: object) -> Needs:
    if isinstance(value, str):
        return Needs(requirements=(name + version_specifier(value),))
    if not isinstance(value, dict) or value.get("optional") is True:
        return Needs()
    if path := string(value.get("path") or value.get("file")):
        return Needs(paths=(f"./{plain_path(path)}",))
    extras = ",".join(strings(value.get("extras")))
    text = f"{name}[{extras}]" if extras else name
    text += _origin(value) or version_specifier(string(value.get("version")))
    return Needs(requirements=(text + _marker(value, address="@" in text),))


def _origin(value: Table) -> str:
    if url := string(value.get("url")):
        return f" @ {url}"
    address = string(value.get("git"))
    if not address:
        return ""
    return f" @ {git_address(address, value)}"


def git_address(address: str, value: Table) -> str:
    """Return pip's form of a git repository with the revision and folder a table names."""
    if scp := re.fullmatch(r"(\w+@[\w.-]+):(?!/)(.+)", address):
        address = f"ssh://{scp[1]}/{scp[2]}"
    address = address if address.startswith("git+") else f"git+{address}"
    found = (string(value.get(key)) for key in ("rev", "tag", "branch", "ref"))
    revision = next(filter(None, found), "")
    folder = string(value.get("subdirectory"))
    return (
        address
        + (f"@{revision}" if revision else "")
        + (f"#subdirectory={folder}" if folder else "")
    )


def _marker(value: Table, *, address: bool) -> str:
    marker = string(value.get("markers"))
    if python := version_specifier(string(value.get("python"))):
        clauses = [_python_clause(part) for part in python.split(",")]
        marker = " and ".join([f"({marker})", *clauses] if marker else clauses)
    if not marker:
        return ""
    return f"{' ' if address else ''}; {marker}"


def _python_clause(part: str) -> str:
    version = part.lstrip("<>=!~")
    operator = part.removesuffix(version) or "=="
    precise = version.removesuffix(".*").count(".") > 1
    return f"{'python_full_version' if precise else 'python_version'} {operator} '{version}'"


def version_specifier(constraint: str) -> str:
    """Return a version constraint of Poetry's as PEP 440 has it, ``""`` for any version.

    ``^1.2`` allows what leaves the first number that is not 0 alone; ``~1.2``
    what leaves the minor number alone; ``1.2`` is exactly that. Of
    alternatives (``||``) PEP 508 can say none: the last, usually the newest,
    is taken.
    """
    alternative = constraint[:LONGEST_CONSTRAINT].rpartition("|")[2]
    # `>= 1.0 , < 2` and `>=1.0 <2` are both in use.
    parts = re.findall(r"([\^~<>=!]*)\s*([^\s,^~<>=!]+)", alternative)
    return ",".join(_clauses(operator, version) for operator, version in parts if version != "*")


def _clauses(operator: str, version: str) -> str:
    numbers = _release(version)
    if operator == "^" and numbers:
        return f">={version},<{_bumped(numbers, _first_significant(numbers))}"
    if operator == "~" and numbers:
        return f">={version},<{_bumped(numbers, min(1, len(numbers) - 1))}"
    return f"{operator if operator not in ('', '=', '^', '~') else '=='}{version}"


def _release(version: str) -> list[int]:
    match = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)", version)
    return [int(number) for number in match[1].split(".")] if match else []


def _first_significant(numbers: Iterable[int]) -> int:
    places = list(numbers)
    return next((place for place, number in enumerate(places) if number), len(places) - 1)


def _bumped(numbers: list[int], place: int) -> str:
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1]))
