"""`ci artifacts`: the files that a job left."""

import json

import click

from ci_client.exits import Exit
from ci_client.interrupts import letting_go
from ci_client.invocation import Invocation
from ci_client.options import job_argument, json_option, pass_invocation


@click.group
def command() -> None:
    """List or fetch the files that a job left.

    Which ones are kept is said by `artifacts` in [tool.ci], or by
    `ci submit -o PATTERN`.
    """


@command.command
@job_argument
@json_option
@pass_invocation
def ls(invocation: Invocation, job: str, *, as_json: bool) -> int:
    """Show the files that JOB left, once it has ended."""
    from ci_client.cache_table import size
    from ci_client.results import collected, ended_job, left_out_lines
    from ci_client.table import aligned
    from ci_client.terminal import printable

    terminal = invocation.terminal
    with letting_go(terminal, lambda: "left; the job goes on"), invocation.connect() as server:
        found = collected(server, ended_job(server, job), "artifacts")
    files = found["files"]
    if as_json:
        lines = [json.dumps(file, ensure_ascii=False) for file in files]
    else:
        lines = aligned([(size(file["size"]), printable(file["path"])) for file in files])
    terminal.data("".join(f"{line}\n" for line in lines))
    for note in left_out_lines(found):
        terminal.note(note)
    if not files:
        terminal.note("the job left no artifacts; name some with `ci submit -o PATTERN`")
    return Exit.PASSED


@command.command
@job_argument
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "-d", "--directory", metavar="DIR", default=".", help="Where to write. Default: here."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@pass_invocation
def get(
    invocation: Invocation, job: str, paths: tuple[str, ...], directory: str, *, force: bool
) -> int:
    """Fetch the files that JOB left, or only those at or below each PATH.

    Waits for the job to end. Nothing is written outside of DIR.
    """
    from ci_client.cache_table import size
    from ci_client.results import Fetcher, chosen, collected, ended_job
    from ci_client.terminal import count, printable

    terminal = invocation.terminal
    with letting_go(terminal, lambda: "left; the job goes on"), invocation.connect() as server:
        job_id = ended_job(server, job)
        files = chosen(collected(server, job_id, "artifacts")["files"], paths)
        Fetcher(server, job_id, directory, force=force).fetch(files)
    terminal.data("".join(f"{printable(file['path'])}\n" for file in files))
    total = size(sum(int(file["size"]) for file in files))
    terminal.note(f"fetched {count(len(files), 'file')}, {total}, into {directory}")
    return Exit.PASSED
