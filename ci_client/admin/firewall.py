"""`ci admin firewall`: keep jobs from the machine that runs them."""

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import pass_invocation
from ci_client.server_parts import needing_server_parts


@click.group
def firewall() -> None:
    """Keep jobs from what listens on this machine, by a rule of its packet filter.

    A server that runs as root on the machine of the engine sets it by itself.
    For others, root does it once after each start of that machine.
    """


@firewall.command
@pass_invocation
def install(invocation: Invocation) -> int:
    """Set the rule, for all servers on this machine. Doing it again changes nothing."""
    with needing_server_parts():
        from ci_server.bootstrap import build_firewall
    build_firewall().install()
    invocation.terminal.note("jobs cannot reach this machine, nor link-local addresses")
    return Exit.PASSED


@firewall.command
@pass_invocation
def remove(invocation: Invocation) -> int:
    """Take the rule away."""
    with needing_server_parts():
        from ci_server.bootstrap import build_firewall
    build_firewall().remove()
    invocation.terminal.note("jobs can reach what listens on this machine")
    return Exit.PASSED


@firewall.command
@pass_invocation
def status(invocation: Invocation) -> int:
    """Say whether the rule is set: exit code 0 when it is, 1 when it is not."""
    with needing_server_parts():
        from ci_server.bootstrap import build_firewall
    installed = build_firewall().is_installed()
    invocation.terminal.data("installed\n" if installed else "not installed\n")
    return Exit.PASSED if installed else Exit.JOB_FAILED
