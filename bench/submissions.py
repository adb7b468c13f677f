"""Accepted submissions per second, each durable before it is answered, against bare commits."""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random

from bench.context import Context
from bench.http_stream import submit
from bench.measure import Comparison, Side, Target, compare, timed
from bench.projects import recipe, zipped
from bench.server import BenchServer, running_server
from ci_controller.lock import ControllerLock

_CLIENTS = 16
_EACH = 25
_BATCH = _CLIENTS * _EACH
"""Submissions in one run."""

_SIZE = 10_000
"""Bytes of the zip."""


def durable_submissions(context: Context) -> Comparison:
    """Count answers of the whole path: upload, checks, fsync, rename, commit.

    The bare side writes the same bytes and rows, one after the other, each with
    its two fsyncs and no server around it.
    """
    archive = _project()
    with _unworked_server(context) as server, closing(_bare_database(context.folder)) as bare:
        ours = timed(partial(_submit_all, server, archive))
        theirs = timed(partial(_store_all, bare, context.folder, archive))
        return compare(
            f"durable submissions of a {len(archive) / 1000:.0f} KB zip, {_CLIENTS} clients",
            [Side("POST /submit-async", ours), Side("bare fsync and FULL commit, in turn", theirs)],
            pairs=context.pairs,
            targets=(Target("rate", 250),),
            amount=_BATCH,
            unit="submissions",
        )


@contextmanager
def _unworked_server(context: Context) -> Iterator[BenchServer]:
    """Run a server whose jobs stay queued: we hold its controller's lock, so they cost nothing."""
    data = context.folder / "unworked"
    data.mkdir()
    lock = ControllerLock(data / "controller.lock")
    lock.try_acquire()
    settings = {"CI_DB_PATH": str(data / "ci_jobs.db"), "CI_DATA_DIR": str(data)}
    try:
        with running_server(context.folder, context.image, **settings) as server:
            yield server
    finally:
        lock.release()


def _project() -> bytes:
    """Return a zip of that size: digits at random take about half of a byte each."""
    files = {"ci.toml": recipe(["true"])}
    spare = _SIZE - len(zipped(files | {"data.txt": ""}))
    noise = Random(1).randbytes(spare * 7 // 8).hex()
    return zipped(files | {"data.txt": noise})


def _submit_all(server: BenchServer, archive: bytes) -> None:
    def one_client() -> None:
        for _ in range(_EACH):
            submit(server.url, archive)

    with ThreadPoolExecutor(_CLIENTS) as threads:
        for each in [threads.submit(one_client) for _ in range(_CLIENTS)]:
            each.result()


def _bare_database(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, recipe TEXT)")
    return connection


def _store_all(connection: sqlite3.Connection, folder: Path, archive: bytes) -> None:
    for _ in range(_BATCH):
        name = str(uuid.uuid4())
        with (folder / name).open("wb") as file:
            file.write(archive)
            os.fsync(file.fileno())
        connection.execute("INSERT INTO jobs VALUES (?, ?)", (name, "{}" * 100))
