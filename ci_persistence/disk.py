"""What it takes to make files durable, and to tell a full disk from other faults."""

import errno
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ci_common.errors import JobNotFound

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
JOB_ID = "[0-9a-f-]{1,36}"
"""What the ids of jobs look like, as a regular expression."""

_JOB_ID = re.compile(JOB_ID)


def is_disk_full(error: OSError) -> bool:
    """Return whether ``error`` says that nothing more fits: disk, quota or file size limit."""
    return error.errno in _NO_SPACE


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; a file's own fsync does not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def ensure_folder(folder: Path) -> None:
    """Have ``folder`` exist, durably. New folders are for their owner only: jobs hold secrets."""
    if folder.is_dir():
        return
    ensure_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    fsync_folder(folder.parent)


def job_file(folder: Path, job_id: str, suffix: str) -> Path:
    """Return the one file in ``folder`` that belongs to ``job_id``.

    Raises:
        JobNotFound: no job can have that id; this keeps every path inside ``folder``.

    """
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"{job_id!r} is not a job id", hint="a job id is a UUID")
    return folder / f"{job_id}{suffix}"


def is_job_file(name: str, suffix: str) -> bool:
    """Return whether ``name`` is one that ``job_file`` gives."""
    return name.endswith(suffix) and bool(_JOB_ID.fullmatch(name.removesuffix(suffix)))


def files_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the plain files of ``folder``, as they are asked for; none if it is not there."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield entry


def files_before(folder: Path, moment: datetime) -> Iterator[Path]:
    """Yield the plain files of ``folder`` last written before ``moment``."""
    for entry in files_in(folder):
        if _written_before(entry, moment):
            yield Path(entry.path)


def _written_before(entry: os.DirEntry[str], moment: datetime) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_mtime < moment.timestamp()
    except FileNotFoundError:  # another process deleted it first
        return False
