"""The data directory that commands of `ci admin` work on, and what they ask before they do."""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ci_client.invocation import Invocation
from ci_client.options import data_dir_overrides
from ci_client.server_parts import needing_server_parts

if TYPE_CHECKING:
    import msgspec

    from ci_server.machine_accounts import MachineAccounts
    from ci_server.settings import Settings

T = TypeVar("T")

yes_option = click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")


def server_settings(data_dir: Path | None) -> "Settings":
    """Return the settings of the server whose data this is."""
    with needing_server_parts():
        from ci_server.settings import load_settings
    return load_settings(data_dir_overrides(data_dir))


def with_accounts(
    data_dir: Path | None,
    work: "Callable[[MachineAccounts], Awaitable[T]]",
    *,
    create: bool = False,
) -> T:
    """Return what ``work`` returns of a server's accounts, on its machine.

    ``create``: where there is no database, one is made. Raises what ``open_accounts`` does.
    """
    settings = server_settings(data_dir)
    from ci_server.administration import open_accounts

    async def run() -> T:
        async with open_accounts(settings, create=create) as accounts:
            return await work(accounts)

    import asyncio

    return asyncio.run(run())


def require_yes(question: str, *, yes: bool) -> None:
    """Return if what is asked is meant.

    Raises:
        click.UsageError: there is nobody to ask, and it was not said beforehand.
        click.Abort: it is not.

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes if that is meant.")
    click.confirm(question, abort=True, err=True)


def built(view: "msgspec.Struct") -> Mapping[str, Any]:
    """Return a view as JSON has it."""
    import msgspec

    facts: Mapping[str, Any] = msgspec.to_builtins(view)
    return facts


def show_rows(
    invocation: Invocation,
    rows: list[Mapping[str, Any]],
    table: Callable[[list[Mapping[str, Any]]], list[str]],
    *,
    as_json: bool,
) -> None:
    """Print rows as a table, or each as JSON on a line."""
    lines = map(json.dumps, rows) if as_json else table(rows)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
