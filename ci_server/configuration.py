"""Where settings come from: flags win over the environment, that over a file, that over defaults.

Decision 0036 says why this is not left to a library.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from ci_common.errors import ConfigurationError
from ci_server.configuration_file import read_file
from ci_server.given import Given
from ci_server.setting_types import Secret

ENV_PREFIX = "CI_"

FILE_VARIABLE = "CI_CONFIG"
"""Names the file, unless a flag does."""

MACHINE_FILE = Path("/etc/standby-ci/config.yaml")
"""The file that is read, if it exists, when none is named. Never one of the folder we are in."""

DEFAULT_ORIGIN = "default"

_FROM_FILE = "_file"
_NEAR = 0.6
_VERY_NEAR = 0.85

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Configuration(Generic[Model]):
    """Settings, what was given for them by field, and the file that was read, if any."""

    settings: Model
    given: Mapping[str, Given]
    file: Path | None

    def origin(self, field: str) -> str:
        """Return where a field's value comes from: ``file:line``, variable, flag, ``default``."""
        found = self.given.get(field)
        return found.origin if found else DEFAULT_ORIGIN


def read_configuration(
    model: type[Model],
    flags: Mapping[str, str | Given],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration[Model]:
    """Return the settings of flags, environment and file. An empty value counts as unset.

    ``flags`` are named as variables (``CI_DB_PATH``) or as fields (``db_path``).
    ``file`` is the one to read; without it ``CI_CONFIG`` names it, or that of the
    machine is read.

    Raises:
        ConfigurationError: something given is not valid; every such thing is named.

    """
    environ = os.environ if environ is None else environ
    chosen = file or _file_of(environ)
    sources = (
        read_file(chosen) if chosen else {},
        _of_environment(model, environ),
        {field_name(key): _of_flag(key, value) for key, value in flags.items()},
    )
    given: dict[str, Given] = {}
    for source in sources:
        given |= _with_secrets(model, source)
    return Configuration(_validated(model, given), given, chosen)


def field_name(key: str) -> str:
    """Return the field that ``CI_DB_PATH`` or ``db_path`` names."""
    return key.lower().removeprefix(ENV_PREFIX.lower())


def variable_name(field: str) -> str:
    """Return the environment variable of a field."""
    return ENV_PREFIX + field.upper()


def is_secret(model: type[BaseModel], field: str) -> bool:
    """Return whether a field's value must not be shown."""
    info = model.model_fields.get(field)
    if info is None:
        return False
    return any(isinstance(mark, Secret) for mark in info.metadata) or info.annotation in {
        SecretStr,
        SecretStr | None,
    }


def misspelt_variables(
    model: type[BaseModel], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield variables that look like a setting's, and the one that may be meant.

    They are not refused: half of the world has variables that begin with ``CI_``.
    """
    known = {variable_name(field): field for field in model.model_fields}
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known and name != FILE_VARIABLE:
            field = name.removesuffix(_FROM_FILE.upper())
            if field in known and is_secret(model, known[field]):
                continue
            yield from ((name, near) for near in _nearest(name, known, _VERY_NEAR))


def _file_of(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    return MACHINE_FILE if MACHINE_FILE.exists() else None


def _of_environment(model: type[BaseModel], environ: Mapping[str, str]) -> dict[str, Given]:
    fields = set(model.model_fields)
    fields |= {field + _FROM_FILE for field in fields if is_secret(model, field)}
    names = {field: variable_name(field) for field in fields}
    return {
        field: Given(environ[name], name, name) for field, name in names.items() if name in environ
    }


def _of_flag(key: str, value: str | Given) -> Given:
    # Programs give values, too; what they call a setting is then its variable.
    name = variable_name(field_name(key))
    return value if isinstance(value, Given) else Given(value, name, name)


def _with_secrets(model: type[BaseModel], source: Mapping[str, Given]) -> dict[str, Given]:
    """Return a source with what stands in the files that it names."""
    found = {}
    for key, given in source.items():
        field = key.removesuffix(_FROM_FILE)
        if given.value in ("", [], {}):
            continue
        if key in model.model_fields or not is_secret(model, field):
            found[key] = given
        elif source.get(field, given).value and field in source:
            raise ConfigurationError(
                f"{given.place}: {source[field].place} is given as well",
                hint="Give the value itself or the file it is in, not both.",
            )
        else:
            found[field] = Given(_content(given), given.origin, given.name)
    return found


def _content(given: Given) -> str:
    try:
        return Path(str(given.value)).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(
            f"{given.place}: the file {given.value!r} cannot be read: {cause}",
            hint="Name a file that the server's user can read.",
        ) from error


def _validated(model: type[Model], given: Mapping[str, Given]) -> Model:
    try:
        return model(**{field: each.value for field, each in given.items()})
    except ValidationError as error:
        raise _refusal(model, given, error) from None


def _refusal(
    model: type[BaseModel], given: Mapping[str, Given], error: ValidationError
) -> ConfigurationError:
    problems, places = [], []
    for item in error.errors(include_url=False, include_context=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        place = given[field].place if field in given else variable_name(field or "*")
        places.append(place)
        problems.append(f"{place}: {_reason(model, field, item)}")
    return ConfigurationError(
        "; ".join(problems),
        hint=f"Correct or unset {', '.join(dict.fromkeys(places))}; "
        "docs/configuration.md lists every setting.",
    )


def _reason(model: type[BaseModel], field: str, item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        near = _nearest(field.replace("-", "_"), model.model_fields, _NEAR)
        return "there is no such setting" + (f"; do you mean {near[0]}?" if near else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return message if is_secret(model, field) else f"{message} (it is {item['input']!r})"


def _nearest(name: str, known: Mapping[str, object], cutoff: float) -> list[str]:
    return difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
