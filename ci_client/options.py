"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ci_client.invocation import Invocation

F = TypeVar("F", bound=Callable[..., Any])

_COMMAND_KEY = "ci_client.command"

pass_invocation = click.make_pass_decorator(Invocation)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")

passthrough_option = click.option(
    "--passthrough-exit", is_flag=True, help="Exit with the command's own exit code."
)

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where database, logs and uploads are kept. Default: CI_DATA_DIR, or here.",
)

job_argument = click.argument("job", metavar="JOB")


def directory_argument(function: F) -> F:
    """Add the argument DIR, the present folder if not given."""
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.argument("directory", metavar="[DIR]", type=kind, default=Path())(function)


def selection_options(function: F) -> F:
    """Add the options that say which files go up."""
    for add in (
        click.option("--with-git", is_flag=True, help="Send .git too."),
        click.option("--include-ignored", is_flag=True, help="Send what git ignores, too."),
    ):
        function = add(function)
    return function


def data_dir_overrides(data_dir: Path | None) -> dict[str, str]:
    """Return the settings that the option ``--data-dir`` stands for."""
    if data_dir is None:
        return {}
    return {"CI_DATA_DIR": str(data_dir), "CI_DB_PATH": str(data_dir / "ci_jobs.db")}


class CommandAfterDashes(click.Command):
    """A command that leaves everything behind ``--`` alone; ``after_dashes`` returns it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set aside what comes after the first ``--``."""
        before, after = args, []
        if "--" in args:
            cut = args.index("--")
            before, after = args[:cut], args[cut + 1 :]
        ctx.meta[_COMMAND_KEY] = tuple(after)
        return super().parse_args(ctx, before)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the usage line's pieces."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def after_dashes() -> tuple[str, ...]:
    """Return the command given behind ``--``, ``()`` if none."""
    command: tuple[str, ...] = click.get_current_context().meta[_COMMAND_KEY]
    return command
