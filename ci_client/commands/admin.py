"""`ci admin`: look after a server's data, on its machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci_client.admin.audit import audit
from ci_client.admin.data import server_settings
from ci_client.admin.keys import key
from ci_client.admin.organisations import org
from ci_client.admin.users import user
from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import data_dir_option, json_option, pass_invocation
from ci_client.terminal import Terminal, count, duration, printable

if TYPE_CHECKING:
    from ci_server.administration import Repaired
    from ci_server.settings import Settings


@click.group
def command() -> None:
    """Look after a server: its data, its users and organisations.

    For the server's machine and user, with the settings the server has.
    """


@command.command
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@data_dir_option
@pass_invocation
def backup(invocation: Invocation, destination: Path, data_dir: Path | None) -> int:
    """Back up everything into the new folder DEST, while the server runs or not.

    DEST appears only when the backup is whole. Its path is printed on stdout.
    """
    settings = server_settings(data_dir)
    from ci_server.administration import make_backup

    manifest = make_backup(settings, destination)
    for problem in manifest.problems:
        invocation.terminal.warn(f"{problem}; `ci admin check` says what can be done")
    invocation.terminal.data(f"{destination}\n")
    unfinished = manifest.jobs["queued"] + manifest.jobs["running"]
    invocation.terminal.note(
        f"{count(sum(manifest.jobs.values()), 'job')}, {unfinished:,} of them not ended; "
        f"{count(manifest.files, 'file')}, {manifest.bytes / 1e6:,.1f} MB"
    )
    return Exit.PASSED


@command.command
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@data_dir_option
@pass_invocation
def restore(invocation: Invocation, source: Path, data_dir: Path | None) -> int:
    """Restore the backup SRC into an empty data directory.

    Every file is checked first. Jobs that ran at the time of the backup run
    again; containers of the server that was backed up are left alone.
    """
    settings = server_settings(data_dir)
    from ci_server.administration import about_to_expire, restore_backup

    terminal = invocation.terminal
    restored = restore_backup(settings, source)
    again = f"; {count(restored.again, 'job')} that ran then will run again"
    terminal.note(
        f"restored {count(sum(restored.manifest.jobs.values()), 'job')} "
        f"as of {restored.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC"
        f"{again if restored.again else ''}"
    )
    for problem in restored.manifest.problems:
        terminal.warn(f"known since the backup: {problem}")
    _say_what_follows(terminal, about_to_expire(settings), settings, restored.token)
    return Exit.PASSED


def _say_what_follows(terminal: Terminal, expiring: int, settings: "Settings", token: str) -> None:
    if expiring:
        terminal.warn(
            f"{count(expiring, 'job')} ended more than {duration(settings.keep_jobs_for)} ago: "
            "the server removes what is older. Start it with CI_KEEP_JOBS_FOR=0 to keep them"
        )
    old = settings.container_prefix
    terminal.note(
        f"Its containers will be named {old}{token}_ci-…, so the former server's are safe from "
        "it. If that one is gone for good, remove them by hand:\n"
        f"  docker rm -f $(docker ps -aq --filter label=ci.namespace={old})"
    )


@command.command
@json_option
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@data_dir_option
@pass_invocation
def check(invocation: Invocation, *, as_json: bool, repair: bool, data_dir: Path | None) -> int:
    """Look for what is wrong with the data, while the server runs or not.

    Exit code 0 when nothing is (left), 1 when something is.
    """
    settings = server_settings(data_dir)
    from ci_server.administration import Repaired, check_data, repair_data

    findings = check_data(settings)
    if repair:
        outcomes = repair_data(settings, findings)
    else:
        outcomes = (Repaired(finding, "not asked for") for finding in findings)
    left = 0
    for outcome in outcomes:
        left += outcome.problem is not None
        show = _as_json if as_json else _as_text
        invocation.terminal.data(show(outcome, repair=repair) + "\n")
    if not findings:
        invocation.terminal.note("nothing is wrong")
    elif repair:
        invocation.terminal.note(f"{len(findings) - left} of {len(findings)} repaired")
    return Exit.JOB_FAILED if left else Exit.PASSED


def _as_json(outcome: "Repaired", *, repair: bool) -> str:
    finding = outcome.finding
    facts = {
        "name": finding.kind.value,
        "subject": finding.subject,
        "what": finding.what,
        "repair": finding.repair,
        "repaired": outcome.problem is None,
        "problem": outcome.problem if repair else None,
    }
    return json.dumps(facts)


def _as_text(outcome: "Repaired", *, repair: bool) -> str:
    finding = outcome.finding
    done = outcome.problem is None
    line = f"{'✓' if done else '✗'} {finding.kind}: {finding.subject}: {finding.what}"
    if not repair:
        return f"{printable(line)}\n    --repair: {finding.repair or 'nothing; decide yourself'}"
    fate = f"done: {finding.repair}" if done else f"not repaired: {outcome.problem}"
    return f"{printable(line)}\n    {printable(fate)}"


command.add_command(user)
command.add_command(org)
command.add_command(key)
command.add_command(audit)
