"""Looking for files that no row explains, and for ones that others can read."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec

from ci_persistence.data_directory import (
    ARTIFACTS_SUFFIX,
    LOG_SUFFIX,
    PACK_NAME,
    STASH_SUFFIXES,
    DataDirectory,
)
from ci_persistence.disk import files_before, files_in, is_job_file
from ci_persistence.findings import Finding, Kind
from ci_persistence.held_files import is_held
from ci_persistence.space import Reserve

_BATCH = 500
OTHERS = 0o077
"""The rights of everybody but the owner."""

_UNKNOWN = "not a name that a file has here; it is left alone"
_KNOWN_PACK = "SELECT 1 FROM packs WHERE id = ?"
_STASHED = "SELECT id, stashed FROM jobs WHERE id IN (SELECT value FROM json_each(?))"


def check_files(
    data: DataDirectory,
    connection: sqlite3.Connection,
    now: datetime,
    grace: float,
    reserve: Reserve,
) -> Iterator[Finding]:
    """Yield what is wrong with the files of ``data``; ``grace`` is in seconds."""
    before = now - timedelta(seconds=grace)
    for path in files_before(data.uploads, before):
        if is_held(path):
            continue
        yield Finding(Kind.UPLOAD_ORPHAN, str(path), "an upload that nobody goes on with")
    yield from _orphans(data.stash, STASH_SUFFIXES, before, connection, Kind.STASH_ORPHAN)
    yield from _orphans(data.logs, (LOG_SUFFIX,), before, connection, Kind.LOG_ORPHAN)
    yield from _orphans(
        data.artifacts, (ARTIFACTS_SUFFIX,), before, connection, Kind.ARTIFACTS_ORPHAN
    )
    yield from _orphan_packs(data.packs, before, connection)
    yield from _open_to_others(data)
    if reserve.missing:
        what = f"{reserve.missing} bytes are not set aside for clearing up a full disk"
        yield Finding(Kind.RESERVE_MISSING, str(data.reserve), what)


def _orphans(
    folder: Path,
    suffixes: Sequence[str],
    before: datetime,
    connection: sqlite3.Connection,
    kind: Kind,
) -> Iterator[Finding]:
    paths = files_before(folder, before)
    while batch := list(islice(paths, _BATCH)):
        known = _stashed(connection, (path.stem for path in batch))
        for path in batch:
            stashed = known.get(path.stem)
            if not any(is_job_file(path.name, suffix) for suffix in suffixes):
                yield Finding(Kind.UNKNOWN_FILE, str(path), _UNKNOWN)
            elif stashed is None and not is_held(path):
                yield Finding(kind, str(path), "there is no such job")
            elif kind is Kind.STASH_ORPHAN and stashed is False:
                yield Finding(kind, str(path), "the job has ended and needs it no more")


def _orphan_packs(
    folder: Path, before: datetime, connection: sqlite3.Connection
) -> Iterator[Finding]:
    for path in files_before(folder, before):
        if not re.fullmatch(PACK_NAME, path.name):
            yield Finding(Kind.UNKNOWN_FILE, str(path), _UNKNOWN)
        elif not is_known_pack(connection, path) and not is_held(path):
            yield Finding(Kind.PACK_ORPHAN, str(path), "no row knows this pack")


def is_known_pack(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether there is a row for the pack with this file, whose name is a pack's."""
    return connection.execute(_KNOWN_PACK, (int(path.stem, 16),)).fetchone() is not None


def _stashed(connection: sqlite3.Connection, job_ids: Iterable[str]) -> dict[str, bool]:
    """Return of the jobs that exist whether their projects are kept."""
    # What a file is called need not be text.
    names = [job_id for job_id in job_ids if job_id.isascii()]
    rows = connection.execute(_STASHED, (msgspec.json.encode(names).decode(),))
    return {row["id"]: bool(row["stashed"]) for row in rows}


def _open_to_others(data: DataDirectory) -> Iterator[Finding]:
    folders = (data.stash, data.packs, data.logs, data.artifacts, data.uploads)
    database = data.database
    beside = [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm")]
    for path in (*beside, *folders):
        yield from if_open_to_others(path)
    for folder in folders:
        for entry in files_in(folder):
            yield from if_open_to_others(entry)


def if_open_to_others(path: Path | os.DirEntry[str]) -> Iterator[Finding]:
    """Yield that others than its owner have rights to a file or folder, if they do."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if mode & OTHERS:
        what = f"others may use it (mode {mode & 0o777:o}); jobs can hold secrets"
        yield Finding(Kind.PERMISSIONS, os.fspath(path), what)
