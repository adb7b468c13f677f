"""`ci config`: the settings in force, of the client and of a server here."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import (
    config_option,
    json_option,
    pass_invocation,
    set_option,
)
from ci_client.server_parts import needing_server_parts
from ci_client.terminal import count

if TYPE_CHECKING:
    from ci_server.configuration import Configuration
    from ci_server.settings import Settings


class Row(NamedTuple):
    """A setting as it is shown; ``value`` is None for one that is not set."""

    name: str
    value: str | None
    origin: str


@click.group
def command() -> None:
    """Show the settings in force and where they come from; check a server's."""


@command.command
@click.argument("whose", type=click.Choice(["client", "server"]), default="client")
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
@json_option
@config_option
@set_option
@pass_invocation
def show(
    invocation: Invocation,
    *,
    whose: Literal["client", "server"],
    origin: bool,
    as_json: bool,
    config: Path | None,
    chosen: dict[str, str],
) -> int:
    """Show the server that is used from here, the key (never whole), the organisation.

    The first that has a value wins: the flag, the environment (CI_SERVER_URL,
    CI_API_KEY, CI_ORGANISATION), the project around this folder (`server` and
    `organisation` in ci.toml or [tool.ci], no key), what `ci login` keeps for
    just this server (a key), your own file, the default.

    `ci config show server` shows what a server started here would have: a flag
    wins over the environment, that over the file, that over the default.
    """
    if whose == "client" and (config or chosen):
        raise click.UsageError("--config and --set are for `ci config show server`.")
    if whose == "server":
        rows = _server_rows(_configuration(config, chosen))
    else:
        rows = _client_rows(invocation)
    width = max(8, *(len(row.name) for row in rows))
    for row in rows:
        if as_json:
            line = json.dumps(row._asdict(), ensure_ascii=False)
        else:
            line = f"{row.name:{width}} {row.value or '-'}" + f"  ({row.origin})" * origin
        invocation.terminal.data(line + "\n")
    return Exit.PASSED


@command.command
@config_option
@set_option
@pass_invocation
def check(invocation: Invocation, *, config: Path | None, chosen: dict[str, str]) -> int:
    """Check the settings of a server that would be started here, without starting it.

    Exit code 0 when they are valid, 2 when not, with each place to correct.
    """
    found = _configuration(config, chosen)
    from ci_server.configuration import misspelt_variables
    from ci_server.settings import Settings

    for name, meant in misspelt_variables(Settings, os.environ):
        invocation.terminal.warn(f"{name} is no setting of the server; do you mean {meant}?")
    source = f"{found.file} and the environment" if found.file else "the environment, no file"
    invocation.terminal.data(f"valid: {count(len(found.given), 'setting')} from {source}\n")
    return Exit.PASSED


def _client_rows(invocation: Invocation) -> list[Row]:
    from ci_client.config import masked

    server, key = invocation.server, invocation.api_key
    organisation = invocation.organisation
    return [
        Row("server", server.value, server.origin),
        Row("api_key", masked(key.value) if key.value else None, key.origin),
        Row("organisation", organisation.value, organisation.origin),
    ]


def _server_rows(found: "Configuration[Settings]") -> list[Row]:
    from ci_server.configuration_text import shown_settings

    shown = shown_settings(found.settings)
    return [Row(name, value, found.origin(name)) for name, value in shown]


def _configuration(config: Path | None, chosen: dict[str, str]) -> "Configuration[Settings]":
    with needing_server_parts():
        from ci_server.given import from_flags
        from ci_server.settings import configured
    return configured(from_flags(chosen), file=config)
