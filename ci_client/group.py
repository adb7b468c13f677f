"""The group ``ci`` of commands, for click.

Command modules are imported when they are called, so that ``ci --help`` and
each command start fast.
"""

import os

import click

from ci_client.commands import COMMANDS, load
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.lines import Line
from ci_client.options import as_click
from ci_client.terminal import Terminal
from ci_common import __version__


class LazyGroup(click.Group):
    """A group whose commands are modules of ``ci_client.commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a day's work."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: Line | click.Command = load(cmd_name)
        return as_click(command) if isinstance(command, Line) else command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--server", metavar="URL", help="The server to talk to.")
@click.option("--api-key", metavar="KEY", help="The key to show it; - reads it from stdin.")
@click.option("--no-color", is_flag=True, help="No colours. So does NO_COLOR=1.")
@click.version_option(__version__, "-V", "--version", message="ci %(version)s")
@click.pass_context
def cli(ctx: click.Context, server: str | None, api_key: str | None, no_color: bool) -> None:
    """Find out whether this passes, in a clean container, now.

    `ci submit` sends this folder, uncommitted changes and all, and shows its
    tests as they run. `ci doctor` tells what is missing.
    """
    terminal = Terminal(colour=False if no_color else None)
    ctx.obj = Invocation(server, api_key, terminal, os.getcwd(), os.environ)


def call_by_click(arguments: list[str]) -> int:
    """Run the command on any line and return its exit code; click tells what is wrong with one."""
    try:
        result = cli.main(arguments, prog_name="ci", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except click.Abort:
        return Exit.INTERRUPTED
    return result if isinstance(result, int) else Exit.PASSED
