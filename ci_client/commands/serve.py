"""`ci serve`: start a server."""

from pathlib import Path

import click

from ci_client.options import data_dir_option, data_dir_overrides
from ci_client.server_parts import needing_server_parts


@click.command
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
def command(
    host: str | None, port: int | None, workers: int, data_dir: Path | None, executor: str | None
) -> int:
    """Start a server and serve until Ctrl-C.

    Jobs go on when the server stops, and are taken up when it starts again.
    All other settings are environment variables: see docs/configuration.md.
    """
    overrides = {} if executor is None else {"CI_EXECUTOR": executor}
    overrides.update(data_dir_overrides(data_dir))
    with needing_server_parts():
        from ci_server.serve import run_server
    return run_server(host, port, workers, overrides)
