"""`ci secret`: what jobs are given that nobody is to see."""

import json
import sys
from pathlib import Path

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, pass_invocation

project_option = click.option(
    "--project",
    metavar="NAME",
    default="",
    help="The project it belongs to; without, it is for all projects.",
)


@click.group
def command() -> None:
    """Keep secrets for jobs: encrypted, given by name, masked in logs.

    A job is given those that its project names (`secrets` in ci.toml or
    [tool.ci]), or that `ci submit --secret NAME` does. Nobody gets to see a
    value again.
    """


@command.command
@click.option("--project", metavar="NAME", default=None, help="Only those of this project.")
@json_option
@pass_invocation
def ls(invocation: Invocation, *, project: str | None, as_json: bool) -> int:
    """Show which secrets there are, without their values."""
    from ci_client.job_secrets import SecretCalls, secrets_table

    with invocation.connect() as server:
        found = SecretCalls(server).all(project)
    lines = map(json.dumps, found) if as_json else secrets_table(found)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not found:
        again = invocation.again("secret", "set", "NAME")
        invocation.terminal.note(f"there are none; keep one with: {again}")
    return Exit.PASSED


@command.command("set")
@click.argument("name")
@project_option
@click.option(
    "--from-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the value from FILE as it is; - is stdin.",
)
@json_option
@pass_invocation
def set_(
    invocation: Invocation, *, name: str, project: str, from_file: Path | None, as_json: bool
) -> int:
    """Keep a secret called NAME, or replace its value.

    The value is asked for, or read from stdin if that is no terminal (without
    its last newline), or from a file. It is never an argument: those are seen
    by every user of a machine, and kept in the shell's history.
    """
    from ci_client.job_secrets import SecretCalls

    value = _value(name, from_file)
    with invocation.connect() as server:
        secret = SecretCalls(server).set(name, project, value)
    if as_json:
        invocation.terminal.data(json.dumps(secret) + "\n")
    invocation.terminal.note(
        f"secret {name} is kept {_whose(project)}; jobs get it with: "
        f"{invocation.again('submit', '--secret', name)}"
    )
    return Exit.PASSED


@command.command
@click.argument("name")
@project_option
@pass_invocation
def rm(invocation: Invocation, *, name: str, project: str) -> int:
    """Remove the secret NAME. Jobs that run keep what they have been given."""
    from ci_client.job_secrets import SecretCalls

    with invocation.connect() as server:
        SecretCalls(server).remove(name, project)
    invocation.terminal.note(f"secret {name} {_whose(project)} is removed")
    return Exit.PASSED


def _value(name: str, from_file: Path | None) -> str:
    from ci_client.job_secrets import value_from_file, value_from_stdin

    if from_file is not None and str(from_file) != "-":
        return value_from_file(from_file)
    if from_file is None and sys.stdin.isatty():
        value: str = click.prompt(f"Value of {name}", hide_input=True, err=True)
        return value
    return value_from_stdin(sys.stdin.buffer)


def _whose(project: str) -> str:
    return f"for the project {project}" if project else "for all projects"
