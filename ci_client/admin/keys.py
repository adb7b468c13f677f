"""`ci admin key`: a user's first key, on the server's machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_client.admin.data import built, server_settings, with_accounts
from ci_client.commands.key import SCOPES, expires_option, life_of, show_secret, tell_made
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation

if TYPE_CHECKING:
    from ci_common.api.api_keys import KeyWithSecret
    from ci_server.accounts import Accounts


@click.group
def key() -> None:
    """Make API keys for users who have none yet to make them with."""


@key.command
@click.argument("user", metavar="USER")
@click.option("--name", required=True, metavar="NAME", help="What it is for, to tell it by.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it can be used for; may be repeated. Default: everything that USER may.",
)
@click.option("--org", metavar="ORG", help="Good for this organisation only.")
@expires_option
@json_option
@data_dir_option
@pass_invocation
def create(  # noqa: PLR0913 -- its options
    invocation: Invocation,
    *,
    user: str,
    name: str,
    scopes: tuple[str, ...],
    org: str | None,
    expires: str | None,
    as_json: bool,
    data_dir: Path | None,
) -> int:
    """Make a key of USER and print it; it is shown this once."""
    import msgspec

    from ci_common.api.api_keys import KeyRequest
    from ci_common.errors import InvalidRequest

    asked: dict[str, Any] = {"name": name, "scopes": scopes or SCOPES, "organisation": org}
    try:
        request = msgspec.convert(asked | life_of(expires), KeyRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
    longest = server_settings(data_dir).max_key_age

    async def work(accounts: "Accounts") -> "KeyWithSecret":
        from ci_common.api.api_keys import key_view, key_with_secret
        from ci_server.api_keys import ApiKeys

        keys = ApiKeys(accounts.store, accounts.clock, longest)
        owner = await accounts.store.user_named(user)
        made, secret = await keys.make_on_the_machine(owner, request)
        found = made.organisation and await accounts.store.organisation(made.organisation)
        view = key_view(
            made, made.created_at, user=owner.name, organisation=found.name if found else None
        )
        return key_with_secret(view, secret)

    shown = built(with_accounts(data_dir, work))
    show_secret(invocation, shown, as_json=as_json)
    tell_made(invocation, shown)
    return Exit.PASSED
