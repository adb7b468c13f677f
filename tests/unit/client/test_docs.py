"""The page about the command line is whole."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ci_client import client
from ci_client.events import EVENT_TYPES
from ci_client.exits import EXIT_OF_REASON, Exit
from ci_client.group import cli

PAGE = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def section(title: str) -> str:
    """What stands below a heading, up to the next one of its kind."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no section {title!r}"
    return found[1]


def options(command: click.Command) -> list[str]:
    return [
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]


@pytest.mark.parametrize(("name", "command"), list(commands(cli)))
def test_every_command_has_a_section_with_its_options(name: str, command: click.Command) -> None:
    text = section(f"`ci {name}`")
    assert [option for option in options(command) if f"`{option}" not in text] == []


def test_options_of_the_group_are_there() -> None:
    text = section("Options of `ci` itself")
    assert [option for option in options(cli) if f"`{option}" not in text] == []


def test_no_option_is_described_that_does_not_exist() -> None:
    known = {"--help", *options(cli)}
    known.update(*(options(command) for _, command in commands(cli)))
    git = {"--cached", "--others", "--exclude-standard"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - git <= known


def test_every_exit_code_and_reason_is_there() -> None:
    text = section("Exit codes")
    assert [code for code in Exit if f"| {code.value} |" not in text] == []
    told = set(re.findall(r"`(\w+)`", text))
    assert set(EXIT_OF_REASON) - {"passed"} <= told


def test_every_event_type_is_there() -> None:
    assert all(f"| `{kind}` |" in PAGE for kind in EVENT_TYPES)


def test_every_function_is_there() -> None:
    text = section("From Python")
    assert [name for name in client.__all__ if f"| `{name}(" not in text] == []
