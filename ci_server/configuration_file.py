"""The settings in a YAML file, each with the line it stands on.

Values stay text, as they are in the environment: ``yes``, ``0o17``, ``1:30`` and
``1e3`` are read by the setting, never guessed at by YAML (decision 0036).
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from ci_common.errors import ConfigurationError
from ci_server.given import Given, Value

LARGEST_FILE = 1024**2
"""Bytes; a file that is larger is none of ours."""

_NULL = "tag:yaml.org,2002:null"


def read_file(path: Path) -> dict[str, Given]:
    """Return what a file gives, by key; a key without a value is as good as absent.

    Raises:
        ConfigurationError: it cannot be read, or is not a table of settings.

    """
    root = _compose(path)
    if root is None or root.tag == _NULL:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise _wrong(path, root, "a file of settings has lines such as `port: 8000`")
    found = {}
    for key, node in _pairs(path, root):
        value = _value(path, node)
        if value is not None:
            found[key] = Given(value, f"{path}:{node.start_mark.line + 1}", key)
    return found


def _compose(path: Path) -> yaml.Node | None:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the file of settings cannot be read: {error.strerror or error}",
            hint="Name another with --config or CI_CONFIG; CI_CONFIG=/dev/null is for none.",
        ) from error
    if len(content) > LARGEST_FILE:
        raise ConfigurationError(
            f"{path}: larger than 1 MiB, so hardly a file of settings",
            hint="Name another with --config or CI_CONFIG.",
        )
    try:
        # Nodes only: no tag is ever followed, and no object made.
        node: yaml.Node | None = yaml.compose(content, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(
            f"{_place(path, error)}: this is no YAML: {_problem(error)}",
            hint="Write `key: value` on each line; examples/server.yaml has every key.",
        ) from None
    return node


class _Loader(yaml.SafeLoader):
    """Refuses what lets a short file stand for a long one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; none refers to another."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="references (*) are not taken; write it out", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


def _value(path: Path, node: yaml.Node) -> Value | None:
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(path, item) or "" for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key: _scalar(path, item) or "" for key, item in _pairs(path, node)}
    return _scalar(path, node)


def _pairs(path: Path, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
    lines: dict[str, int] = {}
    for name, value in node.value:
        key = _scalar(path, name) or ""
        if key in lines:
            raise _wrong(path, name, f"{key!r} stands on line {lines[key]} already")
        lines[key] = name.start_mark.line + 1
        yield key, value


def _scalar(path: Path, node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        raise _wrong(path, node, "a list or a table inside of another has no meaning here")
    return None if node.tag == _NULL else str(node.value)


def _wrong(path: Path, node: yaml.Node, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}:{node.start_mark.line + 1}: {what}",
        hint="Correct the line; examples/server.yaml has every key.",
    )


def _place(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _problem(error: Exception) -> str:
    # Never the line itself, which may hold a secret.
    return str(getattr(error, "problem", None) or "it cannot be made sense of")
