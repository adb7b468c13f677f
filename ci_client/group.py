"""The group ``ci`` of commands, and how their failures are told.

Command modules are imported when they are called, so that ``ci --help`` and
each command start fast.
"""

import importlib
import os
from pathlib import Path

import click

from ci_client.exits import Exit, exit_of_error
from ci_client.invocation import Invocation
from ci_client.terminal import OutputClosed, Terminal, discard_output, printable
from ci_common import __version__
from ci_common.errors import CIError

COMMANDS = {
    "submit": "Send a project and watch its tests run.",
    "wait": "Follow a job to its end; exit with its verdict.",
    "logs": "Print a job's output.",
    "status": "Show one job.",
    "list": "Show the latest jobs.",
    "cancel": "Stop a job.",
    "run": "Run a project without a server: one job, and all is gone.",
    "serve": "Start a server.",
    "doctor": "Check what is needed, and say how to mend what is not right.",
    "admin": "Back up, restore and check a server's data.",
    "config": "Show the settings in force.",
}
"""Each command and its help in one line, which stands here so that ``--help`` imports none."""


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
        module = importlib.import_module(f"ci_client.commands.{cmd_name}")
        command: click.Command = module.command
        return command

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
    ctx.obj = Invocation(server, api_key, terminal, Path.cwd(), os.environ)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; whatever fails is told in plain words."""
    try:
        result = cli.main(arguments, prog_name="ci", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except (OutputClosed, BrokenPipeError):
        discard_output()
        return Exit.BROKEN_PIPE
    except CIError as error:
        return _explain(error)
    except Exception as error:  # noqa: BLE001 -- the last place that can say it politely
        return _apologize(error)
    return result if isinstance(result, int) else Exit.PASSED


def _show_traceback(error: Exception) -> None:
    if os.environ.get("CI_DEBUG"):
        import traceback

        traceback.print_exception(error)


def _explain(error: CIError) -> int:
    terminal = Terminal()
    _show_traceback(error)
    lines = [f"{terminal.paint('error:', 'red')} {printable(error.detail)}"]
    lines += [f"  {printable(note)}" for note in getattr(error, "__notes__", ())]
    lines += [f"  {printable(error.hint)}"] if error.hint else []
    terminal.note("\n".join(lines))
    return exit_of_error(error)


def _apologize(error: Exception) -> int:
    terminal = Terminal()
    _show_traceback(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    terminal.note(
        f"{terminal.paint('internal error:', 'red')} {printable(what)}\n"
        "  This is a fault of ci itself. CI_DEBUG=1 shows where, for a report."
    )
    return Exit.INFRASTRUCTURE
