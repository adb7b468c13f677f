"""What the commands have in common on their lines, for click."""

from pathlib import Path
from typing import Any

import click

from ci_client.invocation import Invocation
from ci_client.lines import JOB, JSON, ORGANISATION, Line, Place

_COMMAND_KEY = "ci_client.command"

pass_invocation = click.make_pass_decorator(Invocation)

json_option = click.option(JSON.name, JSON.parameter, is_flag=True, help=JSON.text)


def _for_organisation(
    context: click.Context, _parameter: click.Parameter, name: str | None
) -> str | None:
    invocation = context.find_object(Invocation)
    if name is not None and invocation is not None:  # there is none while a shell completes
        invocation.organisation_flag = name
    return name


def _towards(context: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    invocation = context.find_object(Invocation)
    if url is not None and invocation is not None:
        invocation.server_flag = url
    return url


server_option = click.option(
    "--server", metavar="URL", help="The server.", callback=_towards, expose_value=False
)
"""What may also stand before the command, where it is about a server."""

organisation_option = click.option(
    *ORGANISATION.names,
    ORGANISATION.parameter,
    metavar=ORGANISATION.metavar,
    help=ORGANISATION.text,
    callback=_for_organisation,
    expose_value=False,
)
"""Of commands that ask a server for something that belongs to somebody; they need not look."""

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where database, logs and uploads are kept. Default: CI_DATA_DIR, or here.",
)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML file of the server's settings. Default: CI_CONFIG, or /etc/standby-ci/config.yaml.",
)


def _read_pairs(
    _context: click.Context, _parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            # The text itself may be a secret.
            raise click.BadParameter(f"number {number} is not KEY=VALUE")
        if key in chosen:
            raise click.BadParameter(f"{key} is given twice")
        chosen[key] = value
    return chosen


set_option = click.option(
    "--set",
    "chosen",
    multiple=True,
    callback=_read_pairs,
    metavar="KEY=VALUE",
    help="A setting by name, over all others; may be repeated.",
)

job_argument = click.argument(JOB.parameter, metavar=JOB.metavar)


def as_click(line: Line) -> click.Command:
    """Return the same command as one of click's."""

    @pass_invocation
    def call(invocation: Invocation, /, **parameters: Any) -> int:  # noqa: ANN401 -- as click has them
        if line.takes_command:
            parameters["command"] = click.get_current_context().meta[_COMMAND_KEY]
        return line.run(invocation, **parameters)

    kind = _CommandAfterDashes if line.takes_command else click.Command
    options = [
        click.Option([flag.name, flag.parameter], is_flag=True, help=flag.text)
        for flag in line.flags
    ]
    options += [
        click.Option(
            [*each.names, each.parameter],
            metavar=each.metavar,
            help=each.text,
            multiple=each.multiple,
        )
        for each in line.options
    ]
    parameters = [_argument(line.place), *options]
    return kind(None, callback=call, params=parameters, help=line.run.__doc__)


def _argument(place: Place) -> click.Argument:
    if not place.folder:
        return click.Argument([place.parameter], metavar=place.metavar)
    kind = click.Path(exists=True, file_okay=False)
    return click.Argument(
        [place.parameter], metavar=place.metavar, type=kind, default=place.default
    )


def data_dir_overrides(data_dir: Path | None) -> dict[str, str]:
    """Return the settings that the option ``--data-dir`` stands for."""
    if data_dir is None:
        return {}
    return {"CI_DATA_DIR": str(data_dir), "CI_DB_PATH": str(data_dir / "ci_jobs.db")}


class _CommandAfterDashes(click.Command):
    """A command that leaves everything behind ``--`` alone."""

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
