"""`ci config`: the settings in force."""

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import pass_invocation


@click.group
def command() -> None:
    """Show the settings in force, and where they come from."""


@command.command
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
@pass_invocation
def show(invocation: Invocation, *, origin: bool) -> int:
    """Show the server that is used from here, and the key (only its end).

    The first that has a value wins: the flag, the environment (CI_SERVER_URL,
    CI_API_KEY), the project around this folder (`server` in ci.toml or
    [tool.ci], no key), your own file, the default.
    """
    from ci_client.config import masked

    key = invocation.api_key
    rows = [
        ("server", invocation.server.value, invocation.server.origin),
        ("api_key", masked(key.value) if key.value else None, key.origin),
    ]
    for name, value, source in rows:
        line = f"{name:8} {value or '-'}"
        invocation.terminal.data(f"{line}  ({source})\n" if origin else f"{line}\n")
    return Exit.PASSED
