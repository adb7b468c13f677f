"""Settings as text: for people, and as the generated pages that list them all.

``python -m ci_server.configuration_text`` writes examples/server.yaml and the
list in docs/configuration.md anew (``make reference``).
"""

import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union

from pydantic.fields import FieldInfo

from ci_server.configuration import is_secret
from ci_server.setting_types import DURATION, SIZE, Kind
from ci_server.settings import Settings, variable_name

EXAMPLE_FILE = Path("examples/server.yaml")
PAGE = Path("docs/configuration.md")
BEGIN = "<!-- made by `make reference`: begin -->\n"
END = "<!-- end -->\n"

_HEAD = """\
# Every setting of a server, with its default where it has one, else an example.
# Take the `#` away where you want another value, and keep the file as
# /etc/standby-ci/config.yaml or name it: ci serve --config server.yaml
# The environment (CI_PORT for `port`) and flags win over it.
# `ci config check --config server.yaml` tells what is wrong with it.
# Sizes: 512m, 2g (powers of 1024). Durations: 90, 10m, 1h30m, 7d.
"""
_UNITS = {
    SIZE.name: ((1024**4, "t"), (1024**3, "g"), (1024**2, "m"), (1024, "k")),
    DURATION.name: ((86_400, "d"), (3600, "h"), (60, "m")),
}
_KINDS: dict[Any, str] = {
    int: "whole number", float: "number", bool: "true or false", Path: "path",
    tuple: "list", dict: "table",
}  # fmt: skip


def shown_settings(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield each setting and its value as text; None if it is not set. Secrets are hidden."""
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        hidden = bool(value) and is_secret(Settings, name)
        yield name, "…" if hidden else as_text(value, kind_of(info)) or None


def as_text(value: object, kind: str) -> str:
    """Return a value as one writes it, which is read as the same value again."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return _in_units(value, _UNITS.get(kind, ()))
        case tuple():
            return ",".join(as_text(each, kind) for each in value)
        case dict():
            return "\n".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def kind_of(info: FieldInfo) -> str:
    """Return in words what a setting's value is."""
    for mark in info.metadata:
        if isinstance(mark, Kind):
            return mark.name
    annotation: Any = info.annotation
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        annotation = next(each for each in typing.get_args(annotation) if each is not type(None))
    if typing.get_origin(annotation) is Literal:
        *others, last = typing.get_args(annotation)
        return f"{', '.join(others)} or {last}"
    return _KINDS.get(typing.get_origin(annotation) or annotation, "text")


def example_of(info: FieldInfo) -> str:
    """Return a value as one would write it: an example, or the default."""
    if info.examples:
        return str(info.examples[0])
    return as_text(info.get_default(call_default_factory=True), kind_of(info))


def example_file() -> str:
    """Return a file with every setting as a comment."""
    parts = [_HEAD]
    for name, info in Settings.model_fields.items():
        meaning = "\n".join(f"# {line}" for line in (info.description or "").splitlines())
        parts.append(f"{meaning}\n#{name}: {_as_yaml(info)}\n")
    return "\n".join(parts)


def reference() -> str:
    """Return the list of all settings for the page about them."""
    rows = ["| Key | Kind | Default | Example |", "|---|---|---|---|"]
    for name, info in Settings.model_fields.items():
        default = as_text(info.get_default(call_default_factory=True), kind_of(info))
        cells = (f"`{name}`", kind_of(info), _code(default), _code(_example_line(name, info)))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def with_reference(page: str) -> str:
    """Return the page with the list in its place."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{reference()}{END}{rest.partition(END)[2]}"


def _example_line(name: str, info: FieldInfo) -> str:
    return f"{variable_name(name)}={example_of(info)}"


def _as_yaml(info: FieldInfo) -> str:
    text, kind = example_of(info), kind_of(info)
    if kind == "list":
        return f"[{', '.join(text.split(','))}]"
    if kind == "table":
        return "{" + ", ".join(f"{k}: {v!r}" for k, _, v in [text.partition("=")]) + "}"
    return text if re.fullmatch(r"[A-Za-z0-9/][A-Za-z0-9._/-]*", text) else f'"{text}"'


def _in_units(value: float, units: tuple[tuple[int, str], ...]) -> str:
    for size, unit in units:
        if value and value % size == 0:
            return f"{value / size:g}{unit}"
    return str(value).removesuffix(".0")


def _code(text: str) -> str:
    return f"`{text}`" if text else "-"


def main() -> int:
    """Write the generated file and list, below the folder we are in."""
    EXAMPLE_FILE.write_text(example_file(), encoding="utf-8")
    PAGE.write_text(with_reference(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
