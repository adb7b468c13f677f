"""What a project says itself: ``[tool.ci]`` in ``pyproject.toml``, or ``ci.toml``."""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ci_common.errors import InvalidRecipe
from ci_common.quantities import parse_bytes, parse_seconds
from ci_common.recipe.model import Recipe

SMALLEST_MEMORY = 6 * 1024**2
"""Bytes. Docker refuses to start a container with less."""

FEWEST_PIDS = 16
"""Processes and threads that a job needs to get anywhere."""

SMALLEST_DISK = 16 * 1024**2
"""Bytes."""

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

READ_ONLY_ENV = frozenset(
    {"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"},
)
"""Names some shells do not let anyone set; trying ends the script."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The keys a project set, already checked. ``install`` is None where it said nothing."""

    source: str
    install: tuple[str, ...] | None
    values: Mapping[str, Any]

    def override(self, recipe: Recipe) -> Recipe:
        """Return ``recipe`` with the project's own values in place of what was detected."""
        values = dict(self.values)
        if self.install is not None:
            values |= {"dependencies": (), "dependency_files": (), "project": _steps(self.install)}
        if "env" in values:
            values["env"] = {**recipe.env, **values["env"]}
        return replace(recipe, **values)


def _steps(install: tuple[str, ...]) -> tuple[str, ...]:
    # Debian's pip refuses to write into the system's Python: give such commands one they may use.
    needs_pip = any(re.search(r"\b(?:pip|uv|poetry|pdm)\b", command) for command in install)
    return ("ci_venv with-pip", *install) if needs_pip else install


NO_CONFIGURATION = Configuration("", None, {})

CLIENT_KEYS = frozenset({"organisation", "server"})
"""Keys of the same table that only the command line reads: where to submit to, and for whom."""


def read_configuration(source: str, settings: object) -> Configuration:
    """Return the checked configuration of ``source``, as it is called in messages.

    Raises:
        InvalidRecipe: a key is unknown or its value cannot be used; the text
            names source, key and what is allowed.

    """
    if not isinstance(settings, dict):
        _refuse(source, f"must be a table, not {_kind(settings)}")
    values = {
        key: _read(source, key, value) for key, value in settings.items() if key not in CLIENT_KEYS
    }
    return Configuration(source, values.pop("install", None), values)


def _read(source: str, key: str, value: object) -> Any:  # noqa: ANN401 -- each key has its type
    if key not in _READERS:
        _refuse(source, f"does not know the key `{key}`.{_nearest(key)}")
    try:
        return _READERS[key](value)
    except ValueError as error:
        _refuse(source, f"`{key}`: {error}")


def _refuse(source: str, problem: str) -> NoReturn:
    raise InvalidRecipe(
        f"{source} {problem}" if not problem.startswith("`") else f"{source}, {problem}",
        hint="docs/recipes.md has every key with an example.",
    )


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key.lower(), _READERS, n=1)
    known = ", ".join(_READERS)
    return f" Did you mean `{near[0]}`?" if near else f" It knows: {known}."


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        str: "text", bool: "true or false", int: "a number", float: "a number",
        list: "a list", dict: "a table",
    }  # fmt: skip
    return kinds.get(type(value), "a date or time")


def _fail(expected: str, value: object) -> NoReturn:
    raise ValueError(f"must be {expected}, not {_kind(value)}")


def _image(value: object) -> str:
    if not isinstance(value, str):
        _fail("the name of an image, such as python:3.12-slim", value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}", value):
        raise ValueError(f"{value!r} is not the name of an image; one is python:3.12-slim")
    return value


def _text(value: object, expected: str) -> str:
    if not isinstance(value, str):
        _fail(expected, value)
    if not value.strip():
        raise ValueError(f"must be {expected}, but is empty")
    if "\0" in value:
        raise ValueError("must not contain the character NUL")
    return value


def _install(value: object) -> tuple[str, ...]:
    expected = 'a list of shell commands, such as ["pip install -e .[test]"], or [] for none'
    if not isinstance(value, list):
        _fail(expected, value)
    return tuple(_text(command, expected) for command in value)


def _command(value: object) -> str | tuple[str, ...]:
    expected = 'a list of arguments, such as ["python", "-m", "pytest"], or one shell command'
    if isinstance(value, str):
        return _text(value, expected)
    if not isinstance(value, list):
        _fail(expected, value)
    if not value:
        raise ValueError(f"must be {expected}, but is empty")
    if not all(isinstance(word, str) for word in value):
        raise ValueError(f"must be {expected}; every argument is text, in quotes")
    return check_arguments(tuple(value))


def check_arguments(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command's arguments if a program can be called with them.

    Raises:
        ValueError: one holds a NUL, or the first one is empty.

    """
    if not words or not words[0]:
        raise ValueError("must begin with the name of a program")
    if any("\0" in word for word in words):
        raise ValueError("must not contain the character NUL")
    return words


def _env(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        _fail('a table, such as { DEBUG = "1" }', value)
    return {check_env_name(name): _env_value(name, item) for name, item in value.items()}


def check_env_name(name: str) -> str:
    """Return the name of an environment variable if a shell can set it.

    Raises:
        ValueError: it cannot.

    """
    if not ENV_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a variable: letters, digits and _ are allowed")
    if name in READ_ONLY_ENV:
        raise ValueError(f"{name} belongs to the shell and cannot be set")
    return name


def _env_value(name: str, value: object) -> str:
    usable = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not usable:
        raise ValueError(f'{name} must be text or a number, such as "1", not {_kind(value)}')
    if "\0" in str(value):
        raise ValueError(f"{name} must not contain the character NUL")
    return str(value)


def _number(value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _fail(expected, value)
    if not math.isfinite(value) or not 0 < value < 10**15:
        raise ValueError(f"must be {expected}, more than 0")
    return float(value)


def _quantity(value: object, parse: Callable[[str], float], expected: str) -> float:
    if not isinstance(value, str):
        return _number(value, expected)
    try:
        return _number(parse(value), expected)
    except ValueError as error:
        raise ValueError(f"{value!r} cannot be used: {error}") from None


def _timeout(value: object) -> float:
    return _quantity(value, parse_seconds, 'a number of seconds, or text such as "10m"')


def _memory(value: object) -> int:
    memory = int(_quantity(value, parse_bytes, 'text such as "2g", or a number of bytes'))
    if memory < SMALLEST_MEMORY:
        raise ValueError(f'{value!r} is too little to start anything; "6m" is the least')
    return memory


def _cpus(value: object) -> float:
    return _number(value, "a number of cores, such as 2 or 0.5")


def _pids(value: object) -> int:
    expected = "a whole number of processes and threads, such as 256"
    number = _number(value, expected)
    if number != int(number) or number < FEWEST_PIDS:
        raise ValueError(f"must be {expected}, {FEWEST_PIDS} at the least")
    return int(number)


def _disk(value: object) -> int:
    disk = int(_quantity(value, parse_bytes, 'text such as "10g", or a number of bytes'))
    if disk < SMALLEST_DISK:
        raise ValueError(f'{value!r} is too little for a project; "16m" is the least')
    return disk


def _network(value: object) -> str:
    if value not in ("bridge", "none"):
        raise ValueError('must be "bridge" (with network) or "none" (without)')
    return str(value)


def _patterns(value: object) -> tuple[str, ...]:
    expected = 'a list of file patterns, such as ["htmlcov/**", "report.xml"]'
    if not isinstance(value, list):
        _fail(expected, value)
    return tuple(check_pattern(_text(item, expected)) for item in value)


def check_pattern(pattern: str) -> str:
    """Return the pattern of files if it stays inside the project.

    Raises:
        ValueError: it does not.

    """
    if "\0" in pattern:
        raise ValueError("must not contain the character NUL")
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r} leaves the project; patterns are relative to its folder")
    return pattern


_READERS: dict[str, Callable[[object], object]] = {
    "image": _image,
    "install": _install,
    "command": _command,
    "env": _env,
    "timeout": _timeout,
    "memory": _memory,
    "cpus": _cpus,
    "pids": _pids,
    "disk": _disk,
    "network": _network,
    "artifacts": _patterns,
    "reports": _patterns,
    "coverage": _patterns,
}

_NUMBERS = frozenset({"cpus", "pids"})


def read_limit(key: str, text: str) -> object:
    """Return the value of ``timeout``, ``memory``, ``cpus``, ``pids`` or ``disk`` given as text.

    Raises:
        ValueError: it cannot be used; the text says what can.

    """
    value: object = text
    if key in _NUMBERS:
        try:
            value = float(text)
        except ValueError:
            value = text
    return _READERS[key](value)


CONFIGURATION_KEYS = tuple(_READERS)
