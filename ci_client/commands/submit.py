"""`ci submit`: send a project and watch its tests run."""

from __future__ import annotations

from contextlib import nullcontext

from ci_client.interrupts import letting_go
from ci_client.lines import (
    ARTIFACT,
    DIRECTORY,
    JOB_OPTIONS,
    JSON,
    ORGANISATION,
    PASSTHROUGH,
    SELECTION,
    Flag,
    Line,
    fields_in,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ci_client.events import Event
    from ci_client.files import Selection
    from ci_client.invocation import Invocation
    from ci_client.sending import Project
    from ci_client.watch import Watch


def submit(  # noqa: PLR0913 -- one for each option
    invocation: Invocation,
    /,
    directory: str,
    *,
    command: tuple[str, ...],
    detached: bool,
    as_json: bool,
    dry_run: bool,
    passthrough_exit: bool,
    include_ignored: bool,
    with_git: bool,
    organisation: str | None,
    **options: object,
) -> int:
    """Send the project in DIR (here, if not given) and watch its tests run.

    In a git work tree the tracked files go up as they are now, and new ones
    that git does not ignore; elsewhere, all that .gitignore files do not
    exclude. A file .ciignore leaves out more.

    What runs is found out from the project's own files, or said after the
    dashes: ci submit -- pytest -x tests/unit

    The job's output goes to stdout, everything else to stderr.
    """
    from ci_client.files import SelectOptions, summary
    from ci_client.job_options import with_defaults
    from ci_client.sending import choose
    from ci_client.watch import Watch

    invocation = invocation.inside(directory, organisation)
    terminal = invocation.terminal
    selected = SelectOptions(include_ignored=include_ignored, with_git=with_git)
    fields = with_defaults(fields_in(options), directory, invocation.environ)
    project = choose(terminal, directory, selected, command, fields)
    if dry_run:
        return _list(invocation, project.selection, as_json=as_json)
    sent = summary(project.selection)
    watch = Watch(terminal, sent, invocation.way_back_to, as_json=as_json)
    with letting_go(terminal, lambda: _parting(invocation, project, watch)):
        complete = _send(
            invocation, project, watch, detached=detached, keeps=bool(options["artifact"])
        )
    from ci_client.exits import Exit, exit_of_result

    return exit_of_result(complete, passthrough=passthrough_exit) if complete else Exit.PASSED


command = Line(
    submit,
    DIRECTORY,
    Flag("--async", "detached", "Print the job's id and leave."),
    JSON,
    Flag("--dry-run", "dry_run", "List what would be sent, and send nothing."),
    *SELECTION,
    PASSTHROUGH,
    ARTIFACT,
    ORGANISATION,
    *JOB_OPTIONS,
    takes_command=True,
)


def _send(
    invocation: Invocation,
    project: Project,
    watch: Watch,
    *,
    detached: bool,
    keeps: bool,
) -> Event | None:
    """Submit; return how the job ended, None if that is not waited for.

    ``keeps``: whether to tell which files were kept.
    """
    from ci_client.sending import send

    with (
        _span(invocation) as traceparent,
        invocation.connect() as server,
        project.submission(server, invocation.environ, invocation.terminal.warn) as submission,
    ):
        submission.traceparent = traceparent
        if not detached:
            complete = send(server, submission, watch)
            from ci_client.verdict import next_step

            step = next_step(complete, watch.job_id or "", invocation.again)
            watch.conclude(complete, watch.seconds, step)
            if keeps:
                from ci_client.results import tell_artifacts

                tell_artifacts(invocation, server, watch.job_id or "")
            return complete
        job_id = server.submit(submission)
        watch.begin(job_id)
        invocation.terminal.data(answer(job_id, as_json=watch.as_json))
        return None


def _span(invocation: Invocation) -> AbstractContextManager[str | None]:
    environ = invocation.environ
    if "TRACEPARENT" in environ or any(name.startswith("OTEL_") for name in environ):
        from ci_client.tracing import submission_span

        return submission_span(environ, "ci submit")
    return nullcontext()


def answer(job_id: str, *, as_json: bool) -> str:
    """Return what goes to stdout when nobody watches."""
    if not as_json:
        return f"{job_id}\n"
    import json

    return json.dumps({"type": "job_id", "job_id": job_id}) + "\n"


def _parting(invocation: Invocation, project: Project, watch: Watch) -> str:
    """Return what Ctrl-C has left behind."""
    if watch.way_back:
        stop = invocation.again("cancel", watch.job_id or "")
        return f"left; {watch.way_back} · or stop it: {stop}"
    if project.progress.uploaded:
        found = invocation.again("list")
        return f"left before the server confirmed the job; whether it has it: {found}"
    return "stopped; nothing was submitted"


def _list(invocation: Invocation, selection: Selection, *, as_json: bool) -> int:
    import json

    from ci_client.exits import Exit
    from ci_client.files import summary
    from ci_client.terminal import printable

    for entry in selection.entries:
        description = {
            "path": entry.name,
            "size": entry.size,
            "executable": entry.executable,
            "link": entry.link,
        }
        line = json.dumps(description, ensure_ascii=False) if as_json else printable(entry.name)
        invocation.terminal.data(line + "\n")
    invocation.terminal.note(f"{summary(selection)} would be sent")
    return Exit.PASSED
