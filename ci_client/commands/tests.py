"""`ci tests`: the tests of a job, or of many."""

import json
from typing import TYPE_CHECKING

import click

from ci_client.exits import Exit
from ci_client.interrupts import letting_go
from ci_client.invocation import Invocation
from ci_client.lines import JOB
from ci_client.options import json_option, organisation_option, pass_invocation

if TYPE_CHECKING:
    from ci_client.session import Session

_PAGE = 1000


@click.command
@click.argument(JOB.parameter, metavar="[JOB]", default="last")
@click.option("--failed", is_flag=True, help="Only tests that failed or met an error.")
@click.option(
    "--slowest", metavar="N", type=click.IntRange(min=1), help="Only the N that took longest."
)
@click.option("--history", metavar="TEST", help="How one test ended, job by job.")
@click.option("--flaky", is_flag=True, help="Tests that passed and failed on the same files.")
@click.option("--project", metavar="NAME", help="With --history or --flaky: only this project.")
@organisation_option
@json_option
@pass_invocation
def command(  # noqa: PLR0913 -- its options
    invocation: Invocation,
    job: str,
    *,
    failed: bool,
    slowest: int | None,
    history: str | None,
    flaky: bool,
    project: str | None,
    as_json: bool,
) -> int:
    """Show the tests that JOB ran, by default those of the latest job.

    JOB is an id, the beginning of one that fits no other, or `last`. It is
    waited for. With --history or --flaky all jobs that are kept count.
    """
    from ci_client import case_table

    terminal = invocation.terminal
    with letting_go(terminal, lambda: "left; the job goes on"), invocation.connect() as server:
        if history is not None:
            path = server.of_organisation(_query("/tests/history", test=history, project=project))
            found = server.manage("GET", path)["runs"]
            lines, note = case_table.history_lines(found), f"no job that is kept ran {history}"
        elif flaky:
            path = server.of_organisation(_query("/tests/flaky", project=project))
            found = server.manage("GET", path)["tests"]
            lines, note = case_table.flaky_lines(found), "no test is known to be flaky"
        else:
            found, counts = _of_job(server, job, failed=failed, slowest=slowest)
            lines, note = case_table.case_lines(found), "no tests to show"
            note = f"{note}{f'; {counts}' if counts else ''}" if not found else counts
    rows = [json.dumps(each, ensure_ascii=False) for each in found] if as_json else lines
    terminal.data("".join(f"{line}\n" for line in rows))
    if not found or (history is None and not flaky):
        terminal.note(note)
    return Exit.PASSED


def _of_job(
    server: "Session", reference: str, *, failed: bool, slowest: int | None
) -> tuple[list[dict[str, object]], str]:
    """Return tests of a job, and its numbers in words."""
    from ci_client.results import collected, ended_job
    from ci_client.table import counts_of, coverage_of

    job_id = ended_job(server, reference)
    first = collected(server, job_id, "tests?limit=1")
    coverage = server.manage("GET", f"/jobs/{job_id}/coverage").get("coverage")
    told = [counts_of({"tests": first.get("counts")}), coverage_of(coverage)]
    found: list[dict[str, object]] = []
    limit = min(slowest or _PAGE, _PAGE)
    outcomes = "&outcome=failed&outcome=error" if failed else ""
    order = "&slowest=true" if slowest else ""
    while slowest is None or len(found) < slowest:
        query = f"limit={limit}&offset={len(found)}{outcomes}{order}"
        page = server.manage("GET", f"/jobs/{job_id}/tests?{query}")["tests"]
        found += page
        if len(page) < limit:
            break
    return found[:slowest], " · coverage: ".join(filter(None, told))


def _query(path: str, **values: str | None) -> str:
    from urllib.parse import urlencode

    given = {name: value for name, value in values.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
