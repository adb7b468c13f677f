"""`ci admin user`: who may use the server, on its machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_client.admin.credentials import link_for, password_options, said_password, show_given
from ci_client.admin.data import (
    built,
    require_yes,
    show_rows,
    with_accounts,
    yes_option,
)
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation

if TYPE_CHECKING:
    from ci_common.api.accounts import UserChange, UserView
    from ci_server.machine_accounts import MachineAccounts

ROLES = ("viewer", "member", "admin")

name_argument = click.argument("name")
role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    help="What it is there; `member` if not said.",
)


_KEY_NAME = "made by ci admin"


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
@password_options
@click.option("--key", is_flag=True, help="Print an API key that may do all that the user may.")
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
    role: str | None,
    password: bool,
    password_stdin: bool,
    key: bool,
    as_json: bool,
    data_dir: Path | None,
) -> int:
    """Make the user NAME, also before the server is started for the first time.

    Without a password and --key a link is printed by which it chooses a
    password, once.
    """
    from ci_common.access import Role
    from ci_common.api.accounts import UserRequest

    if role is not None and org is None:
        raise click.UsageError("--role is what it is in an organisation: say which with --org")
    asked = UserRequest(
        name=name,
        email=email,
        server_admin=admin,
        organisations={} if org is None else {org: Role(role or "member")},
    )
    chosen = said_password(prompt=password, stdin=password_stdin)

    async def work(accounts: "MachineAccounts") -> Mapping[str, Any]:
        kept = None if chosen is None else accounts.hashed(name, chosen)
        made = await accounts.add_user(asked, password=kept)
        given: dict[str, Any] = {"key": await accounts.add_key(made, _KEY_NAME)} if key else {}
        if kept is None and not key:
            given = await link_for(accounts, made)
        (view,) = await accounts.views(made)
        return {**built(view), **given}

    made = with_accounts(data_dir, work, create=True)
    what = "a server admin" if made["server_admin"] else "a user"
    why = "" if admin or not made["server_admin"] else ", as the first user has to be"
    invocation.terminal.note(f"{made['name']} is {what} now{why}")
    show_given(invocation, made, as_json=as_json)
    return Exit.PASSED


@user.command
@name_argument
@password_options
@click.option("--link", is_flag=True, help="Print a link by which it chooses one, once.")
@json_option
@data_dir_option
@pass_invocation
def password(
    invocation: Invocation,
    *,
    name: str,
    password: bool,
    password_stdin: bool,
    link: bool,
    as_json: bool,
    data_dir: Path | None,
) -> int:
    """Give the user NAME a password, or a link by which it chooses one. Its sessions end.

    With a link, the password and the sessions that it has stay until the link is used.
    """
    if link == (password or password_stdin):
        raise click.UsageError("say one of --password, --password-stdin and --link")
    chosen = said_password(prompt=password, stdin=password_stdin)

    async def work(accounts: "MachineAccounts") -> Mapping[str, Any]:
        if chosen is None:
            return await link_for(accounts, await accounts.store.user_named(name))
        await accounts.set_password(name, chosen)
        return {}

    given = with_accounts(data_dir, work)
    if not given:
        invocation.terminal.note(f"{name} has a new password; its sessions have ended")
    show_given(invocation, {"name": name, **given}, as_json=as_json)
    return Exit.PASSED


@user.command
@json_option
@data_dir_option
@pass_invocation
def ls(invocation: Invocation, *, as_json: bool, data_dir: Path | None) -> int:
    """Show all users, by name."""
    from ci_client.account_tables import users_table

    async def work(accounts: "MachineAccounts") -> "list[UserView]":
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

    async def work(accounts: "MachineAccounts") -> "UserView":
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


def _change(data_dir: Path | None, name: str, asked: "UserChange") -> "UserView":
    async def work(accounts: "MachineAccounts") -> "UserView":
        (view,) = await accounts.views(await accounts.change_user(name, asked))
        return view

    return with_accounts(data_dir, work)
