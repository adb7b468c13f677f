"""What a ``noxfile.py`` installs to run the tests, as far as reading can tell."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.python_source import Names, calls, constants, literal, parse_python
from ci_common.recipe.requirement import Needs, normalize, sort_out, union

SESSIONS = ("test", "tests", "testing", "pytest", "unit", "unittest", "unittests", "unit-tests")

_JOINED = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")


def nox_needs(files: ProjectFiles) -> Needs:
    """Return what the test session installs; nothing if there is none that we can read."""
    tree = parse_python(files.text("noxfile.py"))
    if tree is None:
        return Needs()
    names = constants(tree)
    sessions = {name: node for node in tree.body for name in _session_names(node)}
    for name in SESSIONS:
        if name in sessions:
            return _installed(sessions[name], names)
    return Needs()


def _session_names(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef):
        return
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _name(call) == "session":
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            given = [literal(k.value, {}) for k in keywords if k.arg == "name"]
            yield normalize(given[0] if given and isinstance(given[0], str) else node.name)


def _name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _installed(session: ast.stmt, names: Names) -> Needs:
    found = []
    for call in calls(session, "install"):
        words = [word for argument in call.args for word in _words(argument, names)]
        found += [sort_out(_joined(words)), Needs(groups=tuple(_groups(call, names)))]
    for call in calls(session, "run_install"):
        found.append(_synced([word for argument in call.args for word in _words(argument, names)]))
    return union(found)


def _words(argument: ast.expr, names: Names) -> list[str]:
    value = literal(argument.value if isinstance(argument, ast.Starred) else argument, names)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _joined(words: list[str]) -> Iterator[str]:
    """Yield requirements and options, each option with its value: ``-r file``."""
    waiting = ""
    for word in words:
        if waiting:
            yield f"{waiting} {word}"
            waiting = ""
        elif word in _JOINED:
            waiting = word
        elif not word.startswith("-") or word.startswith(_JOINED):
            yield word


def _groups(call: ast.Call, names: Names) -> Iterator[str]:
    """Yield the groups of ``nox.project.dependency_groups(pyproject, "test")`` and ``--group``."""
    for argument in call.args:
        for inner in calls(argument, "dependency_groups"):
            for word in inner.args[1:]:
                yield from map(normalize, _words(word, names))
    yield from _synced([w for a in call.args for w in _words(a, names)]).groups


def _synced(words: list[str]) -> Needs:
    """Return what ``uv sync --group test --extra http`` asks for."""
    found: dict[str, list[str]] = {"--group": [], "--only-group": [], "--extra": []}
    text = [part for word in words for part in word.split("=", 1)]
    for option, value in pairwise(text):
        if option in found:
            found[option].append(normalize(value))
    groups = tuple(found["--group"] + found["--only-group"])
    return Needs(groups=groups, extras=tuple(found["--extra"]))
