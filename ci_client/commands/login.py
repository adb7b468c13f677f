"""`ci login`: keep an API key for a server."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import pass_invocation, server_option


@click.command
@server_option
@click.option("--no-keyring", is_flag=True, help="Keep it in a file, though there is a keyring.")
@pass_invocation
def command(invocation: Invocation, *, no_keyring: bool) -> int:
    """Keep an API key for a server, so that it need not be given again.

    The key is asked for, without showing it, or read from standard input. The
    server is asked whether it is good before it is kept: in the system's
    keyring if the library `keyring` is installed and finds one, else in a file
    that only you can read. It is shown to this server and to no other.
    """
    from ci_client.api_keys import KeyCalls
    from ci_client.config import credentials_file
    from ci_client.kept_keys import KeptKeys
    from ci_common.errors import ConfigurationError

    url = invocation.server.value or ""
    key = _checked(invocation.key_flag or _asked_for(url), url)
    with invocation.showing(key).connect() as server:
        who = KeyCalls(server).whoami()
    if not who["accounts"]:
        raise ConfigurationError(
            f"the server at {url} has no accounts, and asks nobody for a key",
            hint="Nothing was kept.",
        )
    place = KeptKeys(credentials_file(invocation.environ)).keep(url, key, keyring=not no_keyring)
    _tell(invocation, who, url, place)
    return Exit.PASSED


def _asked_for(url: str) -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt(f"API key for {url}", hide_input=True, err=True)
        return asked.strip()
    return "-"


def _checked(key: str, url: str) -> str:
    """Return the key, read from stdin if it is ``-``.

    Raises:
        ConfigurationError: it cannot be one; that takes no server to tell.

    """
    from ci_client.config import key_from_stdin
    from ci_common.api_keys import KEY_PREFIX, is_whole
    from ci_common.errors import ConfigurationError

    key = key_from_stdin(sys.stdin.readline()) if key == "-" else key
    if is_whole(key):
        return key
    raise ConfigurationError(
        "the API key is mistyped or cut off: its end does not fit the rest"
        if key.startswith(KEY_PREFIX)
        else "that is no API key of Standby CI",
        hint=f"They begin with {KEY_PREFIX} and are shown once, when they are made. Who manages "
        f"{url} can make one.",
    )


def _tell(invocation: Invocation, who: Mapping[str, Any], url: str, place: str) -> None:
    from ci_client.key_tables import ends

    invocation.terminal.note(f"signed in to {url} as {who['user']}; the key is kept in {place}")
    if who.get("key_expires_at"):
        invocation.terminal.note(f"it expires {ends(who['key_expires_at'])}")
    if invocation.environ.get("CI_API_KEY", "").strip():
        invocation.terminal.warn("CI_API_KEY is set, and is used in its place until it is unset")
