"""Jobs of which every byte is known, by their numbers."""

import asyncio
import hashlib
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from ci_common.clock import SystemClock
from ci_common.jobs import JobStatus, NewJob
from ci_common.recipe import detect, wanted_files
from ci_persistence.job_rows import columns_of
from ci_persistence.job_statements import insert
from ci_persistence.jobs import SQLiteJobRepository
from tests.e2e.harness import Server
from tests.fakes.zips import honest_zip
from tests.invariants import Ending

COMMAND = "sh run.sh"


def prelude(command: str = COMMAND) -> str:
    """Return what the log of a job says before ``command``, which ``ci.toml`` names, does."""
    return (
        f"Found ci.toml.\nRuns {command}.\nci.toml sets install, command.\n"
        f"Running tests...\n$ {command}\n"
    )


def configuration(command: str = COMMAND) -> str:
    """Return a ``ci.toml`` that runs ``command`` and installs nothing."""
    return f"install = []\ncommand = '{command}'\n"


@dataclass(frozen=True)
class NumberedJob:
    """Says its number, and ends with a status of its own.

    ``waits_for`` is a file that must be there before it does so. ``ballast``
    lies in its project; the job says what its digest is.
    """

    number: int
    waits_for: str = ""
    ballast: bytes = b""

    @property
    def exit_code(self) -> int:
        return self.number % 5

    @property
    def files(self) -> Mapping[str, bytes]:
        wait = f"until [ -e {self.waits_for} ]; do sleep 0.05; done\n" if self.waits_for else ""
        digest = "sha256sum ballast\n" if self.ballast else ""
        script = f"{wait}echo this is job {self.number}\n{digest}exit {self.exit_code}\n"
        files = {"ci.toml": configuration().encode(), "run.sh": script.encode()}
        return files | ({"ballast": self.ballast} if self.ballast else {})

    @property
    def log(self) -> bytes:
        digest = hashlib.sha256(self.ballast).hexdigest() + "  ballast\n" if self.ballast else ""
        return f"{prelude()}this is job {self.number}\n{digest}".encode()

    @property
    def ending(self) -> Ending:
        reason = "failed" if self.exit_code else "passed"
        return Ending(reason=reason, exit_code=self.exit_code, log=self.log)


def queue_up(server: Server, jobs: Sequence[NumberedJob]) -> list[str]:
    """Have a server that is not running yet find ``jobs`` in its queue; return their ids.

    The rows are those that submissions would have left, in one transaction.
    """
    database = server.folder / "ci_jobs.db"
    asyncio.run(_make_database(server))
    rows = [_row(server, job) for job in jobs]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(insert(rows[0]), rows)
    return [row["id"] for row in rows]


async def _make_database(server: Server) -> None:
    repository = SQLiteJobRepository(server.folder / "ci_jobs.db")
    await repository.initialize()
    await repository.close()
    (server.folder / "stash").mkdir(exist_ok=True)


def _row(server: Server, job: NumberedJob) -> Mapping[str, object]:
    job_id = str(uuid.uuid4())
    path = server.folder / "stash" / f"{job_id}.zip"
    content = honest_zip(job.files)
    path.write_bytes(content)
    read = {name: job.files[name] for name in wanted_files(tuple(job.files))}
    new = NewJob(
        id=job_id,
        recipe=detect(tuple(job.files), read),
        zip_path=str(path),
        zip_size=len(content),
        zip_sha256=hashlib.sha256(content).hexdigest(),
        created=SystemClock().now(),
    )
    return {**columns_of(new), "status": JobStatus.QUEUED.value}


def started_in_order(server: Server) -> list[str]:
    """Return the ids of jobs in the order of their starts; see ``invariants.watch_moves``."""
    query = "SELECT job FROM watched WHERE is_now = 'running' ORDER BY number"
    return [job_id for (job_id,) in server.rows(query)]


def submitted_in_order(server: Server) -> list[str]:
    """Return the ids of jobs in the order in which they were accepted."""
    return [job_id for (job_id,) in server.rows("SELECT id FROM jobs ORDER BY seq")]


def all_ended(server: Server) -> bool:
    """Whether no job waits or runs. Asked again and again, so it reads two short indexes."""
    some = "EXISTS (SELECT 1 FROM jobs WHERE status = '{}')"
    (row,) = server.rows(f"SELECT {some.format('queued')}, {some.format('running')}")
    return not any(row)
