"""Literals in Python files, read without running them."""

import ast
from collections.abc import Iterator, Mapping

UNKNOWN = object()
"""What an expression comes to that only running it can tell."""

LONGEST = 100_000
"""Items or characters a literal may come to: ``x = x + x``, often enough, fills any memory."""

_CHANGING = {"append", "extend", "insert", "remove", "update", "setdefault", "pop", "clear"}

Names = Mapping[str, object]


def parse_python(text: str | None) -> ast.Module | None:
    """Return the syntax tree, None if the text is missing or is not Python we can read."""
    if text is None:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def constants(tree: ast.Module) -> dict[str, object]:
    """Return the names that hold a literal at the top of a module, as they are at its end.

    Names that are changed in ways we do not follow are ``UNKNOWN``.
    """
    found: dict[str, object] = {}
    for statement in tree.body:
        _assign(statement, found)
    found.update(dict.fromkeys(_changed(tree), UNKNOWN))
    return found


def _assign(statement: ast.stmt, found: dict[str, object]) -> None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            found[name] = literal(value, found)
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            found[name] = literal(value, found)
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
            found[name] = _joined(found.get(name, UNKNOWN), literal(value, found))
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=key)], value=value):
            item, known = literal(key, found), found.get(name)
            if isinstance(known, dict) and isinstance(item, str):
                found[name] = {**known, item: literal(value, found)}
            else:
                found[name] = UNKNOWN


def _changed(tree: ast.Module) -> set[str]:
    """Return the names that are assigned again deeper down, or have a method called on them."""
    top = set(map(id, tree.body))
    changed = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign() | ast.AugAssign() if id(node) not in top:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                changed |= {_owner(target) for target in targets}
            case ast.Call(func=ast.Attribute(attr=method, value=ast.Name(id=name))):
                changed |= {name} if method in _CHANGING else set()
    return changed


def _owner(target: ast.expr) -> str:
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def literal(node: ast.expr | None, names: Names, depth: int = 16) -> object:
    """Return what an expression of literals, known names, and ``+`` is, or ``UNKNOWN``."""
    match node:
        case _ if depth == 0:
            value: object = UNKNOWN
        case ast.Constant():
            value = node.value
        case ast.Name():
            value = names.get(node.id, UNKNOWN)
        case ast.List() | ast.Tuple() | ast.Set():
            value = _sequence(node.elts, names, depth - 1)
        case ast.Dict():
            value = _dict(node, names, depth - 1)
        case ast.BinOp(op=ast.Add()):
            value = _joined(
                literal(node.left, names, depth - 1), literal(node.right, names, depth - 1)
            )
        case _:
            value = UNKNOWN
    return value


def _sequence(items: list[ast.expr], names: Names, depth: int) -> object:
    found: list[object] = []
    for item in items:
        starred = isinstance(item, ast.Starred)
        value = literal(item.value if isinstance(item, ast.Starred) else item, names, depth)
        if value is UNKNOWN or (starred and not isinstance(value, list)):
            return UNKNOWN
        found += value if starred and isinstance(value, list) else [value]
        if len(found) > LONGEST:
            return UNKNOWN
    return found


def _dict(node: ast.Dict, names: Names, depth: int) -> object:
    found: dict[str, object] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = literal(key, names, depth)
        if not isinstance(name, str):
            return UNKNOWN
        found[name] = literal(value, names, depth)
    return found


def _joined(left: object, right: object) -> object:
    if isinstance(left, list) and isinstance(right, list):
        return left + right if len(left) + len(right) <= LONGEST else UNKNOWN
    if isinstance(left, str) and isinstance(right, str):
        return left + right if len(left) + len(right) <= LONGEST else UNKNOWN
    return UNKNOWN


def text_list(value: object) -> tuple[str, ...] | None:
    """Return requirements given as a list or as lines of text; None if they are neither."""
    if isinstance(value, str):
        return tuple(line.strip() for line in value.splitlines() if line.strip())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(str(item) for item in value)
    return None


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield the calls of ``name(...)`` and ``anything.name(...)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=found) | ast.Attribute(attr=found) if found == name:
                    yield node
