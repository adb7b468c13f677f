"""What `ci admin user` lets a user in with: passwords, links and keys, each shown or said once."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ci_client.invocation import Invocation

if TYPE_CHECKING:
    from ci_common.accounts import User
    from ci_server.machine_accounts import MachineAccounts

_Command = TypeVar("_Command", bound=Callable[..., Any])


def password_options(command: _Command) -> _Command:
    """Give a command the ways in which a password is said: never on the line itself."""
    stdin = click.option(
        "--password-stdin", is_flag=True, help="Read its password from standard input."
    )
    prompt = click.option("--password", is_flag=True, help="Ask for its password.")
    return prompt(stdin(command))


def said_password(*, prompt: bool, stdin: bool) -> str | None:
    """Return the password that is said, None for none."""
    if prompt and stdin:
        raise click.UsageError("say one of --password and --password-stdin")
    if stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if prompt:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: use --password-stdin")
        said: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return said
    return None


async def link_for(accounts: "MachineAccounts", found: "User") -> dict[str, Any]:
    """Return a link by which a user chooses a password, and when it ends, as JSON has it."""
    from ci_common.clock import format_utc

    link, until = await accounts.invite(found)
    return {"link": link, "link_expires_at": format_utc(until)}


def show_given(invocation: Invocation, made: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what is shown this once: a key, or a link; or all of it as JSON."""
    if as_json:
        invocation.terminal.data(json.dumps(made) + "\n")
    elif "key" in made:
        invocation.terminal.data(f"{made['key']}\n")
    elif "link" in made:
        invocation.terminal.data(f"{made['link']}\n")
    if "key" in made:
        invocation.terminal.note("its API key is shown only now")
    if "link" in made:
        until = made["link_expires_at"]
        invocation.terminal.note(f"by this link it chooses a password, once, until {until}")
        if made["link"].startswith("http://"):
            invocation.terminal.note(
                "if the server is not at that address, set CI_PUBLIC_URL, or CI_PORT as it has it"
            )
