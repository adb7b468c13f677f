"""`ci key`: API keys."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, pass_invocation

if TYPE_CHECKING:
    from ci_client.api_keys import KeyCalls
    from ci_client.kept_keys import KeptKeys

SCOPES = ("read", "submit", "admin")

_A_DAY = 86_400.0

_BOUNDS = {"--expires": (1.0, 36_500 * _A_DAY), "--overlap": (0.0, 30 * _A_DAY)}
"""The least and the most seconds of an option, as the server takes them."""
"""As ``ci_common.access`` has them, which takes longer to import than help to be shown."""

expires_option = click.option(
    "--expires", metavar="TIME", help="So long it is good: 90d. Default: as long as it may be."
)


@click.group
def command() -> None:
    """Make, list, replace and end API keys.

    It takes a key with the scope `admin`. A key is shown once, when it is
    made; the server keeps only what it takes to recognise it.
    """


@command.command
@click.option("--name", required=True, metavar="NAME", help="What it is for, to tell it by.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it can be used for; may be repeated. Default: read and submit.",
)
@click.option("--org", "organisation", metavar="NAME", help="Good for this organisation only.")
@expires_option
@click.option("--user", metavar="NAME", help="Whose it is, if not yours: for server admins.")
@json_option
@pass_invocation
def create(
    invocation: Invocation,
    /,
    *,
    expires: str | None,
    scopes: tuple[str, ...],
    as_json: bool,
    **chosen: Any,  # noqa: ANN401 -- options
) -> int:
    """Make a key and print it; it is shown this once.

    It can do no more than the key that makes it, and does not outlive it.
    """
    from ci_client.api_keys import KeyCalls

    asked = {name: value for name, value in chosen.items() if value is not None}
    asked |= {"scopes": list(scopes)} if scopes else {}
    asked |= life_of(expires)
    with invocation.connect() as server:
        made = KeyCalls(server).make(asked)
    show_secret(invocation, made, as_json=as_json)
    tell_made(invocation, made)
    return Exit.PASSED


@command.command
@click.option("--all", "ended", is_flag=True, help="Also those that are expired or revoked.")
@click.option("--user", metavar="NAME", help="Those of this user: for server admins.")
@json_option
@pass_invocation
def ls(invocation: Invocation, *, ended: bool, user: str | None, as_json: bool) -> int:
    """Show your keys, the newest first."""
    from ci_client.api_keys import KeyCalls
    from ci_client.key_tables import keys_table

    with invocation.connect() as server:
        keys = KeyCalls(server).all(user, ended=ended)
    lines = map(json.dumps, keys) if as_json else keys_table(keys)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not keys:
        again = invocation.again("key", "create", "--name", "…")
        invocation.terminal.note(f"there are none; make one with: {again}")
    return Exit.PASSED


@command.command
@click.argument("key_id", metavar="KEY")
@pass_invocation
def revoke(invocation: Invocation, *, key_id: str) -> int:
    """End KEY, given by its id, at once and for good."""
    from ci_client.api_keys import KeyCalls

    with invocation.connect() as server:
        revoked = KeyCalls(server).revoke(key_id)
    invocation.terminal.note(f"key {key_id} ({revoked['name']}) is revoked")
    return Exit.PASSED


@command.command
@click.argument("key_id", metavar="[KEY]", required=False)
@click.option(
    "--overlap", default="24h", metavar="TIME", help="So long the old one stays good: 1h."
)
@expires_option
@click.option("--save", is_flag=True, help="Keep the new one where `ci login` keeps the old one.")
@json_option
@pass_invocation
def rotate(
    invocation: Invocation,
    *,
    key_id: str | None,
    overlap: str,
    expires: str | None,
    save: bool,
    as_json: bool,
) -> int:
    """Replace KEY, given by its id, or the one that is used here; print the new one.

    The new one has the same scopes and lives as long as the old one was made
    for. The old one stays good for --overlap, a day if not given, so that
    nothing fails while it is replaced where it is used.
    """
    from ci_client.api_keys import KeyCalls

    if save and key_id is not None:
        raise click.UsageError("--save replaces the key that is used here: leave KEY out.")
    kept = _kept(invocation) if save else None
    asked = {"overlap": _seconds(overlap, "--overlap"), **life_of(expires)}
    with invocation.connect() as server:
        calls = KeyCalls(server)
        made = calls.rotate(key_id or _current(calls), asked)
    if kept is None:
        show_secret(invocation, made, as_json=as_json)
    else:
        _save(invocation, kept, made, as_json=as_json)
    tell_made(invocation, made)
    return Exit.PASSED


def _kept(invocation: Invocation) -> "KeptKeys":
    """Return where the key that is used here is kept. Raises ``UsageError`` if it is not."""
    from ci_client.config import credentials_file
    from ci_client.kept_keys import KeptKeys

    kept = KeptKeys(credentials_file(invocation.environ))
    found = kept.find(invocation.server.value or "")
    if found is None or found[0] != invocation.api_key.value:
        raise click.UsageError(
            "--save is for a key that `ci login` keeps; the one that is used here comes from: "
            + invocation.api_key.origin
        )
    return kept


def _save(
    invocation: Invocation, kept: "KeptKeys", made: Mapping[str, Any], *, as_json: bool
) -> None:
    from ci_common.errors import CIError

    try:
        place = kept.keep_again(invocation.server.value or "", made["key"])
    except CIError:  # nobody will ever see it again
        show_secret(invocation, made, as_json=as_json)
        raise
    if as_json:
        shown = {name: value for name, value in made.items() if name != "key"}
        invocation.terminal.data(json.dumps(shown) + "\n")
    invocation.terminal.note(f"the new key is kept in {place}")


def _current(calls: "KeyCalls") -> str:
    from ci_common.errors import ConfigurationError

    found = calls.whoami().get("key_id")
    if not isinstance(found, str):
        raise ConfigurationError(
            "no API key is used here", hint="Name one: ci key ls shows which there are."
        )
    return found


def life_of(expires: str | None) -> dict[str, float]:
    """Return what is asked for by ``--expires``. Raises ``BadParameter``."""
    return {} if expires is None else {"expires_in": _seconds(expires, "--expires")}


def _seconds(text: str, option: str) -> float:
    from ci_common.quantities import format_seconds, parse_seconds

    try:
        seconds = parse_seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    least, most = _BOUNDS[option]
    if not least <= seconds <= most:
        bounds = f"{format_seconds(least)} to {format_seconds(most)}"
        raise click.BadParameter(f"{text!r} is not within {bounds}", param_hint=option)
    return seconds


def show_secret(invocation: Invocation, made: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a new key."""
    shown = json.dumps(made) if as_json else str(made["key"])
    invocation.terminal.data(f"{shown}\n")


def tell_made(invocation: Invocation, made: Mapping[str, Any]) -> None:
    """Say what a new key is good for."""
    from ci_client.key_tables import ends

    scopes, where = ", ".join(made["scopes"]), made.get("organisation") or "all organisations"
    invocation.terminal.note(
        f"key {made['id']} ({made['name']}) of {made['user']}: {scopes} in {where}; "
        f"expires {ends(made.get('expires_at'))}"
    )
