"""`ci admin org`: organisations, who belongs to them, and what they may use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ci_client.admin.data import (
    built,
    require_yes,
    show_rows,
    with_accounts,
    yes_option,
)
from ci_client.admin.users import role_option
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation
from ci_client.terminal import count
from ci_common.quantities import parse_bytes

if TYPE_CHECKING:
    from ci_common.accounts import Organisation, User
    from ci_server.accounts import Accounts

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULT = "default"
"""What stands for the server's own limit."""

organisation_argument = click.argument("organisation", metavar="ORG")
user_argument = click.argument("user", metavar="USER")


class _Quota(click.ParamType[Any]):
    """A number, perhaps with a unit, or ``default`` for what the server has set (None)."""

    def __init__(self, name: str, read: Callable[[str], int]) -> None:
        self.name = name
        self._read = read

    def convert(
        self,
        value: Any,  # noqa: ANN401 -- as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 -- as click has it
        """Return what is meant, ``default`` as it is. Raises ``click.BadParameter``."""
        if not isinstance(value, str) or value == _DEFAULT:
            return value
        try:
            number = self._read(value)
        except ValueError:
            number = -1
        if number < 0:
            self.fail(f"{value!r} is neither {self.name} nor `{_DEFAULT}`", param, ctx)
        return number


_NUMBER = _Quota("a whole number", int)
_SIZE = _Quota("a size such as 500m or 20g", parse_bytes)


def quota_options(command: _Command) -> _Command:
    """Give a command the options of all quotas."""
    for name, kind, text in reversed(
        (
            ("--max-running", _NUMBER, "So many jobs run at once."),
            ("--max-queued", _NUMBER, "So many jobs wait."),
            ("--max-project-bytes", _SIZE, "So much is kept of projects."),
            ("--max-artifact-bytes", _SIZE, "So much is kept of artifacts."),
        )
    ):
        metavar = "N" if kind is _NUMBER else "SIZE"
        command = click.option(name, type=kind, metavar=metavar, help=text)(command)
    return command


@click.group
def org() -> None:
    """Make, show, change and remove organisations, and say who belongs to them."""


@org.command
@organisation_argument
@quota_options
@json_option
@data_dir_option
@pass_invocation
def create(
    invocation: Invocation,
    /,
    *,
    organisation: str,
    as_json: bool,
    data_dir: Path | None,
    **quotas: Any,  # noqa: ANN401 -- options
) -> int:
    """Make the organisation ORG. Jobs, webhooks and secrets belong to one."""
    from ci_common.api.accounts import OrganisationRequest

    asked = OrganisationRequest(name=organisation, **_as_set(quotas))
    made = with_accounts(data_dir, lambda accounts: accounts.add_organisation(asked), create=True)
    _show(invocation, made, as_json=as_json)
    again = invocation.again("admin", "org", "add", made.name, "USER")
    invocation.terminal.note(f"{made.name} is an organisation now; give it members: {again}")
    return Exit.PASSED


@org.command
@json_option
@data_dir_option
@pass_invocation
def ls(invocation: Invocation, *, as_json: bool, data_dir: Path | None) -> int:
    """Show all organisations and their quotas, by name."""
    from ci_client.account_tables import organisations_table
    from ci_common.api.accounts import organisation_view

    found = with_accounts(data_dir, lambda accounts: accounts.store.organisations())
    rows = [built(organisation_view(each)) for each in found]
    show_rows(invocation, rows, organisations_table, as_json=as_json)
    if not rows:
        again = invocation.again("admin", "org", "create", "ORG")
        invocation.terminal.note(f"there are none; make one with: {again}")
    return Exit.PASSED


@org.command
@organisation_argument
@click.argument("name")
@data_dir_option
@pass_invocation
def rename(invocation: Invocation, *, organisation: str, name: str, data_dir: Path | None) -> int:
    """Call the organisation ORG NAME from now on. Everything of it stays its own."""
    from ci_common.api.accounts import OrganisationChange

    asked = OrganisationChange(name=name)
    changed = with_accounts(
        data_dir, lambda accounts: accounts.change_organisation(organisation, asked)
    )
    invocation.terminal.note(f"it is called {changed.name} now")
    return Exit.PASSED


@org.command
@organisation_argument
@quota_options
@json_option
@data_dir_option
@pass_invocation
def quota(
    invocation: Invocation,
    /,
    *,
    organisation: str,
    as_json: bool,
    data_dir: Path | None,
    **quotas: Any,  # noqa: ANN401 -- options
) -> int:
    """Limit what the organisation ORG uses; `default` is the server's own limit, 0 is none.

    Quotas that are not given stay. Without any, they are shown.
    """
    from ci_client.account_tables import organisations_table
    from ci_common.api.accounts import OrganisationChange, organisation_view

    asked = OrganisationChange(**_as_set(quotas))
    changed = with_accounts(
        data_dir, lambda accounts: accounts.change_organisation(organisation, asked)
    )
    rows = [built(organisation_view(changed))]
    show_rows(invocation, rows, organisations_table, as_json=as_json)
    return Exit.PASSED


@org.command
@organisation_argument
@yes_option
@data_dir_option
@pass_invocation
def remove(invocation: Invocation, *, organisation: str, yes: bool, data_dir: Path | None) -> int:
    """Remove the organisation ORG, which must have no jobs (any more).

    Its webhooks and secrets, its memberships and the keys that are good for it
    alone go with it; its members stay users.
    """
    require_yes(
        f"Remove the organisation {organisation} for good, with its webhooks and secrets?", yes=yes
    )
    removed = with_accounts(data_dir, lambda accounts: accounts.remove_organisation(organisation))
    invocation.terminal.note(f"{removed.name} is removed")
    return Exit.PASSED


@org.command
@organisation_argument
@json_option
@data_dir_option
@pass_invocation
def members(
    invocation: Invocation, *, organisation: str, as_json: bool, data_dir: Path | None
) -> int:
    """Show who belongs to the organisation ORG, by name."""
    from ci_client.account_tables import members_table
    from ci_common.api.accounts import member_view

    async def work(accounts: "Accounts") -> list[Any]:
        found = await accounts.store.organisation_named(organisation)
        return [member_view(each, found.id) for each in await accounts.members(found)]

    rows = [built(each) for each in with_accounts(data_dir, work)]
    show_rows(invocation, rows, members_table, as_json=as_json)
    if not rows:
        again = invocation.again("admin", "org", "add", organisation, "USER")
        invocation.terminal.note(f"there is nobody in it; add somebody with: {again}")
    return Exit.PASSED


@org.command
@organisation_argument
@user_argument
@role_option
@data_dir_option
@pass_invocation
def add(
    invocation: Invocation, *, organisation: str, user: str, role: str | None, data_dir: Path | None
) -> int:
    """Make USER a member of the organisation ORG, or give it another role there."""
    from ci_common.access import Role

    given = Role(role or "member")

    async def work(accounts: "Accounts") -> "tuple[User, Organisation]":
        found = await accounts.store.organisation_named(organisation)
        return await accounts.set_role(found, user, given), found

    member, found = with_accounts(data_dir, work)
    invocation.terminal.note(f"{member.name} is {given.value} of {found.name} now")
    return Exit.PASSED


@org.command
@organisation_argument
@user_argument
@data_dir_option
@pass_invocation
def remove_member(
    invocation: Invocation, *, organisation: str, user: str, data_dir: Path | None
) -> int:
    """End the membership of USER in the organisation ORG. It stays a user."""

    async def work(accounts: "Accounts") -> "tuple[User, Organisation]":
        found = await accounts.store.organisation_named(organisation)
        return await accounts.remove_member(found, user), found

    member, found = with_accounts(data_dir, work)
    invocation.terminal.note(f"{member.name} is no member of {found.name} any more")
    return Exit.PASSED


@org.command
@organisation_argument
@data_dir_option
@pass_invocation
def adopt(invocation: Invocation, *, organisation: str, data_dir: Path | None) -> int:
    """Give the organisation ORG what the server had before there were accounts.

    That is webhooks, and jobs that have ended. Jobs that have not ended yet can
    be adopted later. Until then only server admins see them.
    """
    jobs = with_accounts(data_dir, lambda accounts: accounts.adopt(organisation))
    invocation.terminal.note(f"{organisation} has {count(jobs, 'job')} more")
    return Exit.PASSED


def _as_set(quotas: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if value == _DEFAULT else value
        for name, value in quotas.items()
        if value is not None
    }


def _show(invocation: Invocation, organisation: "Organisation", *, as_json: bool) -> None:
    from ci_common.api.accounts import organisation_view

    if as_json:
        view = organisation_view(organisation)
        invocation.terminal.data(json.dumps(built(view)) + "\n")
