"""What a job left behind: waited for, told, and fetched."""

from __future__ import annotations

import os
import time

from ci_client.session import path_of
from ci_common.errors import ClientError, InvalidRequest, ResultNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ci_client.invocation import Invocation
    from ci_client.session import Session

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
PATIENCE = 120.0
"""Seconds from the end of a job in which its results are waited for."""


def collected(
    server: Session, job_id: str, what: str, sleep: Callable[[float], object] = time.sleep
) -> dict[str, Any]:
    """Return what the server answers to ``what`` of an ended job, once it is not pending.

    What is pending for too long is returned as it is.
    """
    pause, left = _FIRST_PAUSE, PATIENCE
    while True:
        answer: dict[str, Any] = server.manage("GET", f"{path_of(job_id)}/{what}")
        if answer.get("state") != "pending" or left <= 0:
            return answer
        sleep(pause)
        left -= pause
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def ended_job(server: Session, reference: str) -> str:
    """Return the id of a job, after its end."""
    job = server.job(reference)
    job_id = str(job["job_id"])
    if job["status"] in {"queued", "running"}:
        for _ in server.follow(job_id):
            pass
    return job_id


def tell_artifacts(invocation: Invocation, server: Session, job_id: str) -> None:
    """Say what was kept of a job that has just ended, and how to get it."""
    from ci_client.cache_table import size
    from ci_client.terminal import count

    found = collected(server, job_id, "artifacts")
    for note in left_out_lines(found):
        invocation.terminal.note(note)
    files = found.get("files") or ()
    if files:
        get = invocation.again("artifacts", "get", job_id)
        kept = f"{count(len(files), 'artifact')}, {size(int(found['size']))}"
        invocation.terminal.note(f"{kept} · get: {get}")
    else:
        invocation.terminal.note("no file fits the patterns: nothing was kept")


def left_out_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each file that was left out, as far as they are named."""
    from ci_client.terminal import count, printable

    if found.get("state") == "lost":
        reasons = "; ".join(str(each.get("reason")) for each in found.get("left_out") or ())
        yield printable(f"nothing could be collected: {reasons}")
        return
    named = found.get("left_out") or ()
    for each in named:
        yield printable(f"left out: {each.get('path') or 'tests'}: {each.get('reason')}")
    more = int(found.get("left_out_count") or 0) - len(named)
    if more > 0:
        yield f"left out: {count(more, 'more file')}"


class Fetcher:
    """Writes a job's artifacts below ``folder``, and nowhere else."""

    def __init__(self, server: Session, job_id: str, folder: str, *, force: bool) -> None:
        self._server = server
        self._job_id = job_id
        self._folder = os.path.realpath(folder)
        self._force = force

    def fetch(self, files: Sequence[dict[str, Any]]) -> None:
        """Fetch files.

        Raises:
            InvalidRequest: one is there already, or its name leads elsewhere; then none is fetched.
            ClientError: what came is not what the server said.

        """
        places = [(file, self._place(str(file["path"]))) for file in files]
        for _, place in places:
            if os.path.lexists(place) and not (self._force and os.path.isfile(place)):
                raise InvalidRequest(
                    f"{place} is there already",
                    hint="--force replaces files; -d DIR writes elsewhere.",
                )
        for file, place in places:
            self._write(file, place)

    def _place(self, path: str) -> str:
        """Return where a file goes. A link in the folder must not lead out of it."""
        parts = path.split("/")
        sound = path and "\0" not in path and not {"", ".", ".."} & set(parts) and os.sep == "/"
        place = os.path.join(self._folder, *parts)
        inside = os.path.realpath(os.path.dirname(place)) + os.sep
        if not sound or not inside.startswith(self._folder.rstrip(os.sep) + os.sep):
            raise InvalidRequest(f"the artifact {path!r} would lie outside of {self._folder}")
        return place

    def _write(self, file: dict[str, Any], place: str) -> None:
        import hashlib
        from urllib.parse import quote

        os.makedirs(os.path.dirname(place), exist_ok=True)
        partial = f"{place}.{os.getpid()}.partial"
        digest = hashlib.sha256()
        path = f"{path_of(self._job_id)}/artifacts/{quote(str(file['path']))}"
        mode = 0o777 if file.get("executable") else 0o666
        try:
            with (
                self._server.managed(path) as response,
                open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target,
            ):
                for data in response.pieces():
                    digest.update(data)
                    target.write(data)
            if digest.hexdigest() != file["sha256"]:
                raise ClientError(f"{file['path']} did not arrive as it was kept; try again")
            os.replace(partial, place)
        finally:
            if os.path.lexists(partial):
                os.unlink(partial)


def chosen(files: Sequence[dict[str, Any]], paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return the files at or below ``paths``, all if there are none. Raises ``ResultNotFound``."""
    if not paths:
        return list(files)
    found = []
    for wanted in (path.rstrip("/").removeprefix("./") for path in paths):
        fitting = [
            file
            for file in files
            if file["path"] == wanted or str(file["path"]).startswith(f"{wanted}/")
        ]
        if not fitting:
            raise ResultNotFound(
                f"the job left no {wanted!r}", hint="`ci artifacts ls` shows what there is."
            )
        found += [file for file in fitting if file not in found]
    return found
