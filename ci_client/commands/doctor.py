"""`ci doctor`: see whether all is there that is needed."""

from collections.abc import Sequence

import click

from ci_client.checks import remote_checks
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import pass_invocation
from ci_common.checks import Check


@click.command
@pass_invocation
def command(invocation: Invocation) -> int:
    """Check what is needed, and say how to mend what is not right.

    This machine is looked at when the server is, or would be, on it. Exit code
    0 when all is well, 3 when not.
    """
    from ci_client.connection import is_loopback_url

    here = is_loopback_url(invocation.server.value or "")
    checks = [*(_machine_checks() if here else ()), *remote_checks(invocation)]
    for check in checks:
        mark = "✓" if check.ok else "✗"
        fix = f"    fix: {check.fix}\n" if check.fix and not check.ok else ""
        invocation.terminal.data(f"{mark} {check.name}: {check.detail}\n{fix}")
    if not here:
        invocation.terminal.note("The server is on another machine: call `ci doctor` there too.")
    return Exit.PASSED if all(check.ok for check in checks) else Exit.INFRASTRUCTURE


def _machine_checks() -> Sequence[Check]:
    """Return the state of this machine as a server's."""
    import asyncio

    from ci_client.server_parts import needing_server_parts
    from ci_common.errors import CIError

    try:
        with needing_server_parts():
            from ci_server.doctor import machine_checks
            from ci_server.settings import load_settings
        found = asyncio.run(machine_checks(load_settings()))
    except CIError as error:
        return [Check("server parts", ok=False, detail=error.detail, fix=error.hint or "")]
    return [Check(each.name, each.ok, each.detail, each.fix) for each in found]
