"""`ci admin user`: who may use the server, on its machine."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci_client.admin.data import (
    built,
    require_yes,
    server_settings,
    show_rows,
    with_accounts,
    yes_option,
)
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation

if TYPE_CHECKING:
    from ci_common.api.accounts import UserChange, UserView
    from ci_server.accounts import Accounts

ROLES = ("viewer", "member", "admin")

name_argument = click.argument("name")
role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="member",
    show_default=True,
    help="What it is there.",
)


@click.group
def user() -> None:
    """Make, show, change and remove users.

    As soon as there is one, the server answers only to who shows a key or has
    signed in; it need not be started anew for that.
    """


@user.command
@name_argument
@click.option("--admin", is_flag=True, help="A server admin. The first user is always one.")
@click.option("--email", default="", metavar="ADDRESS", help="Where mail reaches it.")
@click.option("--org", metavar="ORG", help="Make it a member of this organisation.")
@role_option
@json_option
@data_dir_option
@pass_invocation
def create(  # noqa: PLR0913 -- its options
    invocation: Invocation,
    *,
    name: str,
    admin: bool,
    email: str,
    org: str | None,
    role: str,
    as_json: bool,
    data_dir: Path | None,
) -> int:
    """Make the user NAME, also before the server is started for the first time."""
    from ci_common.access import Role
    from ci_common.api.accounts import UserRequest

    asked = UserRequest(
        name=name,
        email=email,
        server_admin=admin,
        organisations={} if org is None else {org: Role(role)},
    )

    async def work(accounts: "Accounts") -> "UserView":
        (view,) = await accounts.views(await accounts.add_user(asked))
        return view

    view = with_accounts(data_dir, work, create=True)
    if as_json:
        invocation.terminal.data(json.dumps(built(view)) + "\n")
    what = "a server admin" if view.server_admin else "a user"
    why = "" if admin or not view.server_admin else ", as the first user has to be"
    invocation.terminal.note(f"{view.name} is {what} now{why}")
    return Exit.PASSED


@user.command
@json_option
@data_dir_option
@pass_invocation
def ls(invocation: Invocation, *, as_json: bool, data_dir: Path | None) -> int:
    """Show all users, by name."""
    from ci_client.account_tables import users_table

    async def work(accounts: "Accounts") -> "list[UserView]":
        return await accounts.views(*await accounts.store.users())

    users = [built(each) for each in with_accounts(data_dir, work)]
    show_rows(invocation, users, users_table, as_json=as_json)
    if not users:
        again = invocation.again("admin", "user", "create", "NAME")
        invocation.terminal.note(f"there are none: whoever reaches the server may do all; {again}")
    return Exit.PASSED


@user.command
@name_argument
@json_option
@data_dir_option
@pass_invocation
def show(invocation: Invocation, *, name: str, as_json: bool, data_dir: Path | None) -> int:
    """Show the user NAME."""
    from ci_client.account_tables import user_lines

    async def work(accounts: "Accounts") -> "UserView":
        (view,) = await accounts.views(await accounts.store.user_named(name))
        return view

    found = built(with_accounts(data_dir, work))
    lines = [json.dumps(found)] if as_json else user_lines(found)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    return Exit.PASSED


@user.command
@name_argument
@click.option("--name", "new_name", metavar="NAME", help="Another name; its keys stay good.")
@click.option("--email", metavar="ADDRESS", help="Another address; '' for none.")
@data_dir_option
@pass_invocation
def change(
    invocation: Invocation,
    *,
    name: str,
    new_name: str | None,
    email: str | None,
    data_dir: Path | None,
) -> int:
    """Rename the user NAME, or change its address."""
    from ci_common.api.accounts import UserChange

    if new_name is None and email is None:
        raise click.UsageError("nothing is to be changed: give --name or --email")
    changed = _change(data_dir, name, UserChange(name=new_name, email=email))
    invocation.terminal.note(f"{changed.name} is changed")
    return Exit.PASSED


@user.command
@name_argument
@data_dir_option
@pass_invocation
def disable(invocation: Invocation, *, name: str, data_dir: Path | None) -> int:
    """Keep the user NAME out, with its keys and sessions, until it is enabled."""
    from ci_common.api.accounts import UserChange

    changed = _change(data_dir, name, UserChange(disabled=True))
    invocation.terminal.note(f"{changed.name} is disabled: its keys and sessions open nothing")
    return Exit.PASSED


@user.command
@name_argument
@data_dir_option
@pass_invocation
def enable(invocation: Invocation, *, name: str, data_dir: Path | None) -> int:
    """Let the user NAME in again, with those keys that it had."""
    from ci_common.api.accounts import UserChange

    changed = _change(data_dir, name, UserChange(disabled=False))
    invocation.terminal.note(f"{changed.name} is enabled")
    return Exit.PASSED


@user.command
@name_argument
@data_dir_option
@pass_invocation
def set_admin(invocation: Invocation, *, name: str, data_dir: Path | None) -> int:
    """Make the user NAME a server admin."""
    from ci_common.api.accounts import UserChange

    changed = _change(data_dir, name, UserChange(server_admin=True))
    invocation.terminal.note(f"{changed.name} is a server admin now")
    return Exit.PASSED


@user.command
@name_argument
@data_dir_option
@pass_invocation
def unset_admin(invocation: Invocation, *, name: str, data_dir: Path | None) -> int:
    """Make the user NAME a server admin no longer."""
    from ci_common.api.accounts import UserChange

    changed = _change(data_dir, name, UserChange(server_admin=False))
    invocation.terminal.note(f"{changed.name} is no server admin any more")
    return Exit.PASSED


@user.command
@name_argument
@yes_option
@data_dir_option
@pass_invocation
def remove(invocation: Invocation, *, name: str, yes: bool, data_dir: Path | None) -> int:
    """Remove the user NAME with its keys, sessions and memberships. Its jobs stay."""
    require_yes(f"Remove the user {name} for good, with its keys?", yes=yes)
    removed = with_accounts(data_dir, lambda accounts: accounts.remove_user(name))
    invocation.terminal.note(f"{removed.name} is removed")
    return Exit.PASSED


@user.command
@name_argument
@json_option
@data_dir_option
@pass_invocation
def link(invocation: Invocation, *, name: str, as_json: bool, data_dir: Path | None) -> int:
    """Print a link by which the user NAME chooses a password, once.

    It is good for a day. Until it is used, the password stays what it is; then
    all sessions of the user end.
    """
    settings = server_settings(data_dir)
    from ci_common.clock import format_utc
    from ci_server.administration import make_password_link

    url, made = asyncio.run(make_password_link(settings, name))
    until = format_utc(made.expires_at)
    shown = json.dumps({"url": url, "expires_at": until}) if as_json else url
    invocation.terminal.data(f"{shown}\n")
    invocation.terminal.note(f"whoever has this link is {name}; it is good once, until {until}")
    return Exit.PASSED


def _change(data_dir: Path | None, name: str, asked: "UserChange") -> "UserView":
    async def work(accounts: "Accounts") -> "UserView":
        (view,) = await accounts.views(await accounts.change_user(name, asked))
        return view

    return with_accounts(data_dir, work)
