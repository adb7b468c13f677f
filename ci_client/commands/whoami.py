"""`ci whoami`: who one is for a server."""

import json

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, pass_invocation, server_option


@click.command
@server_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> int:
    """Show who you are for the server, and what the key can do until when."""
    from ci_client.api_keys import KeyCalls
    from ci_client.key_tables import whoami_lines

    url = invocation.server.value or ""
    with invocation.connect() as server:
        who = KeyCalls(server).whoami()
    lines = [json.dumps(who)] if as_json else whoami_lines(who, url)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))
    if not who["accounts"]:
        invocation.terminal.note("the server has no accounts: everybody may do everything")
    return Exit.PASSED
