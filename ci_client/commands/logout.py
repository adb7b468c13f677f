"""`ci logout`: forget the API key of a server."""

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.kept_keys import KeptKeys
from ci_client.options import pass_invocation, server_option


@click.command
@server_option
@click.option("--revoke", is_flag=True, help="Also end the key, so that nobody can use it.")
@pass_invocation
def command(invocation: Invocation, *, revoke: bool) -> int:
    """Forget the key that `ci login` keeps for a server.

    The key stays good, unless it is revoked too.
    """
    from ci_client.config import credentials_file

    url = invocation.server.value or ""
    kept = KeptKeys(credentials_file(invocation.environ))
    if revoke:
        _revoke(invocation, kept, url)
    if kept.forget(url):
        invocation.terminal.note(f"the key for {url} is forgotten")
    else:
        invocation.terminal.note(f"no key was kept for {url}")
    return Exit.PASSED


def _revoke(invocation: Invocation, kept: KeptKeys, url: str) -> None:
    from ci_client.api_keys import KeyCalls
    from ci_common.errors import AuthenticationFailed

    found = kept.find(url)
    if found is None:
        return
    try:
        with invocation.showing(found[0]).connect() as server:
            revoked = KeyCalls(server).revoke_current()
    except AuthenticationFailed:
        invocation.terminal.note("the key was not good any more")
    else:
        invocation.terminal.note(f"key {revoked['id']} is revoked")
