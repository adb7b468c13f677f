"""What ``setup.cfg`` and ``setup.py`` declare, as far as reading can tell."""

import configparser
import re
from collections.abc import Mapping

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.python_source import (
    calls,
    constants,
    literal,
    parse_python,
    text_list,
)
from ci_common.recipe.requirement import Needs, normalize, plain_path, sort_out

Section = Mapping[str, str]


def read_ini(text: str | None) -> Mapping[str, Section]:
    """Return the sections of an INI file, none of them if it is missing or broken."""
    parser = configparser.RawConfigParser(strict=False)
    # configparser's patterns take quadratic time on long runs of blanks.
    text = re.sub(r"[^\S\n]{9,}", " " * 8, text or "")
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {name: dict(parser.items(name)) for name in parser.sections()}


class SetupDeclarations:
    """The two files as one. Values are None where only running ``setup.py`` can tell."""

    def __init__(self, files: ProjectFiles) -> None:
        self.present = {"setup.py", "setup.cfg"} & files.names
        self._cfg = read_ini(files.text("setup.cfg"))
        self._arguments = (
            _setup_arguments(files.text("setup.py")) if "setup.py" in files.names else {}
        )

    @property
    def describes_package(self) -> bool:
        """Whether setuptools can build something from these files."""
        return "setup.py" in self.present or bool({"metadata", "options"} & self._cfg.keys())

    @property
    def name(self) -> str:
        """The distribution's name, ``""`` if unknown."""
        given = (self._arguments or {}).get("name")
        return given if isinstance(given, str) else self._cfg.get("metadata", {}).get("name", "")

    @property
    def requires(self) -> Needs | None:
        """What the project needs to run."""
        return self._needs("install_requires")

    @property
    def tests_require(self) -> Needs:
        """What the project says its tests need."""
        return self._needs("tests_require") or Needs()

    @property
    def setup_requires(self) -> tuple[str, ...]:
        """What ``setup.py`` needs to run, as far as it can be read."""
        return (self._needs("setup_requires") or Needs()).requirements

    def says(self, argument: str) -> bool:
        """Return whether ``setup()`` is called with an argument of that name."""
        return argument in (self._arguments or {})

    @property
    def extras(self) -> Mapping[str, Needs | None] | None:
        """The project's extras by normalized name."""
        given = {} if self._arguments is None else self._arguments.get("extras_require", {})
        if self._arguments is None or not isinstance(given, dict):
            return None
        section = self._cfg.get("options.extras_require", {})
        found: dict[str, Needs | None] = {
            normalize(name): _needs_of(section[name]) for name in section
        }
        for name, value in given.items():
            lines = text_list(value)
            # "test:python_version<'3'" is an old way to write a marker.
            found[normalize(name.partition(":")[0])] = None if lines is None else sort_out(lines)
        return found

    def _needs(self, argument: str) -> Needs | None:
        if self._arguments is None:
            return None
        if argument in self._arguments:
            lines = text_list(self._arguments[argument])
            return None if lines is None else sort_out(lines)
        return _needs_of(self._cfg.get("options", {}).get(argument, ""))


def _needs_of(text: str) -> Needs:
    if text.strip().startswith("file:"):
        names = text.strip().removeprefix("file:").replace("\n", ",").split(",")
        return Needs(files=tuple(plain_path(name.strip()) for name in names if name.strip()))
    # setuptools takes `;` for a separator only where there is a single line.
    return sort_out(tuple(text.splitlines() if "\n" in text else text.split(";")))


def _setup_arguments(text: str | None) -> dict[str, object] | None:
    """Return what ``setup()`` is called with; None if that cannot be told at all."""
    tree = parse_python(text)
    if tree is None:
        return None
    names = constants(tree)
    for call in calls(tree, "setup"):
        found: dict[str, object] = {}
        for keyword in call.keywords:
            value = literal(keyword.value, names)
            if keyword.arg is None and not isinstance(value, dict):
                return None  # setup(**computed)
            found.update(value if isinstance(value, dict) and keyword.arg is None else {})
            if keyword.arg is not None:
                found[keyword.arg] = value
        return found
    return None
