"""`ci serve`: start a server."""

from pathlib import Path

import click

from ci_client.options import (
    config_option,
    data_dir_option,
    data_dir_overrides,
    set_option,
)
from ci_client.server_parts import needing_server_parts


@click.command
@config_option
@click.option("--host", help="Address to listen on. Default: CI_HOST, or this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: CI_PORT, or 8000; 0: any.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that answer requests; one of them runs the jobs.",
)
@data_dir_option
@click.option(
    "--executor",
    type=click.Choice(["auto", "docker", "local"]),
    help="What jobs run in. Default: CI_EXECUTOR, or auto.",
)
@click.option(
    "--let-anyone-run-code",
    is_flag=True,
    help="Serve others without accounts: whoever reaches the server can run anything.",
)
@set_option
def command(  # noqa: PLR0913, PLR0917 -- one for each option
    config: Path | None,
    host: str | None,
    port: int | None,
    workers: int,
    data_dir: Path | None,
    executor: str | None,
    let_anyone_run_code: bool,
    chosen: dict[str, str],
) -> int:
    """Start a server and serve until Ctrl-C.

    Jobs go on when the server stops, and are taken up when it starts again.
    Flags win over the environment, that over the file of settings: see
    docs/configuration.md. `ci config show server --origin` tells what is in force.
    """
    with needing_server_parts():
        from ci_server.given import from_flags
        from ci_server.serve import run_server
    open_to_all = "true" if let_anyone_run_code else None
    own = {"executor": executor, "let_anyone_run_code": open_to_all}
    flags = from_flags(chosen, {**own, **data_dir_overrides(data_dir)})
    return run_server(host, port, workers, flags, file=config)
