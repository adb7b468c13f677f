"""`ci run`: run a project with a server of its own, which is gone afterwards."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ci_client.exits import exit_of_result
from ci_client.interrupts import letting_go
from ci_client.invocation import Invocation
from ci_client.lines import DIRECTORY, JSON, LIMITS, PASSTHROUGH, SELECTION, Line, fields_in
from ci_client.server_parts import needing_server_parts

if TYPE_CHECKING:
    from ci_client.events import Event
    from ci_client.sending import Project
    from ci_client.watch import Watch


def run(
    invocation: Invocation,
    /,
    directory: str,
    *,
    command: tuple[str, ...],
    as_json: bool,
    passthrough_exit: bool,
    include_ignored: bool,
    with_git: bool,
    **options: object,
) -> int:
    """Run the project in DIR (here, if not given) without a server.

    A server is started for this one job, on a free port of this machine, and
    is gone with it. For more than one job `ci serve` is faster. Files and
    command are chosen as `ci submit` does.
    """
    from ci_client.files import SelectOptions, summary
    from ci_client.sending import choose
    from ci_client.watch import Watch

    terminal = invocation.terminal
    selected = SelectOptions(include_ignored=include_ignored, with_git=with_git)
    project = choose(terminal, directory, selected, command, fields_in(options))
    sent = summary(project.selection)
    watch = Watch(terminal, sent, None, as_json=as_json)
    with letting_go(terminal, lambda: "stopped; the job was ended with its server"):
        complete = _run(invocation, project, watch)
    return exit_of_result(complete, passthrough=passthrough_exit)


command = Line(run, DIRECTORY, JSON, *SELECTION, PASSTHROUGH, *LIMITS, takes_command=True)


def _run(invocation: Invocation, project: "Project", watch: "Watch") -> "Event":
    from ci_client.sending import send

    with (
        tempfile.TemporaryDirectory(prefix="ci-run-") as folder,
        project.zip_submission(invocation.terminal.warn) as submission,
        _server(_overrides(folder, invocation)) as url,
        invocation.connect_to(url) as server,
    ):
        complete = send(server, submission, watch)
    watch.conclude(complete, watch.seconds, step="")
    return complete


def _overrides(folder: str, invocation: Invocation) -> dict[str, str]:
    overrides = {
        "CI_DATA_DIR": folder,
        "CI_DB_PATH": f"{folder}/ci_jobs.db",
        # Other servers on the same engine must neither see nor sweep its containers.
        "CI_CONTAINER_PREFIX": f"run{uuid.uuid4().hex[:8]}_",
        # One job and all is gone: a small disk for temporary files is large enough for it.
        "CI_MIN_FREE_BYTES": "1m",
        "CI_RESERVE_BYTES": "0",
        # Nobody comes after it who could use what it would take time to keep.
        "CI_SNAPSHOT_BYTES": "0",
        "CI_KEEP_PROJECTS_FOR": "0",
    }
    # The server's log would run between the lines of the job's.
    return (
        overrides
        if "CI_LOG_LEVEL" in invocation.environ
        else {
            **overrides,
            "CI_LOG_LEVEL": "warning",
        }
    )


@contextmanager
def _server(overrides: dict[str, str]) -> Iterator[str]:
    """Serve from a thread of its own, and leave nothing behind; yield the address.

    Raises:
        ConfigurationError: the server cannot start; the text says why.

    """
    import asyncio
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    with needing_server_parts():
        from ci_server.embedded import embedded_server
    ready: Future[str] = Future()
    leave: Future[None] = Future()

    async def live() -> None:
        try:
            async with embedded_server(overrides) as url:
                ready.set_result(url)
                await asyncio.wrap_future(leave)
        finally:
            await _purge(overrides)

    with ThreadPoolExecutor(1, thread_name_prefix="embedded-server") as thread:
        serving = thread.submit(lambda: asyncio.run(live()))
        try:
            first: list[Future[Any]] = [ready, serving]
            wait(first, return_when=FIRST_COMPLETED)
            if ready.done():
                yield ready.result()
        finally:
            leave.set_result(None)
            serving.result()


async def _purge(overrides: dict[str, str]) -> None:
    """Remove the job's container, should it still be there: nobody will take it up."""
    from ci_common.errors import EngineError
    from ci_server import bootstrap
    from ci_server.settings import load_settings

    settings = load_settings(overrides)
    local = bootstrap.build_local(settings, bootstrap.build_repository(settings))
    for container in await local.observe():
        await local.remove(container.name)
    await local.close()
    docker = bootstrap.build_docker(settings)
    with suppress(EngineError):  # without an engine there is nothing on it
        await docker.purge()
    await docker.close()
