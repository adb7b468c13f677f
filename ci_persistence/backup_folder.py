"""What a backup looks like on disk, for the one who writes it and the one who reads it.

::

    DEST/  manifest.json  SHA256SUMS  ci_jobs.db  stash/<job_id>.zip or .tree
           packs/<number>.zip  logs/<job_id>.log  artifacts/<job_id>.tar
           keys/secrets.key (if that was asked for)

``SHA256SUMS`` covers every file but the first two (``sha256sum -c`` reads it), and the
manifest, which is written last, covers ``SHA256SUMS``.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from ci_common.errors import BackupUnusable
from ci_persistence.data_directory import (
    ARTIFACTS,
    ARTIFACTS_SUFFIX,
    KEYS,
    LOG_SUFFIX,
    LOGS,
    PACK_NAME,
    PACKS,
    SECRETS_KEY,
    STASH,
    STASH_SUFFIXES,
)
from ci_persistence.disk import JOB_ID

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
DATABASE = "ci_jobs.db"

_CHUNK = 1024 * 1024
_STASHED = "|".join(map(re.escape, STASH_SUFFIXES))
_LINE = re.compile(
    rf"(?P<sha256>[0-9a-f]{{64}})  (?P<name>{re.escape(DATABASE)}"
    rf"|{STASH}/{JOB_ID}(?:{_STASHED})|{PACKS}/{PACK_NAME}"
    rf"|{KEYS}/{re.escape(SECRETS_KEY)}"
    rf"|{LOGS}/{JOB_ID}{re.escape(LOG_SUFFIX)}"
    rf"|{ARTIFACTS}/{JOB_ID}{re.escape(ARTIFACTS_SUFFIX)})\n"
)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. ``jobs`` counts them by status; ``bytes`` is of all files together.

    ``problems``: what was wrong with the data already when it was copied.
    """

    format: int
    version: str
    schema: int
    created_at: datetime
    jobs: dict[str, int]
    files: int
    bytes: int
    database_sha256: str
    sums_sha256: str
    problems: list[str]


class Sum(NamedTuple):
    """A file of a backup, by its path inside of it, and the hex digest of what it holds."""

    name: str
    sha256: str


class Copied(NamedTuple):
    """A file that was copied: its bytes and their hex digest."""

    size: int
    sha256: str


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the backup ``folder``.

    Raises:
        BackupUnusable: there is none, or of a later format.

    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise BackupUnusable(
            f"{folder} is not a whole backup: {MANIFEST} cannot be read ({error.strerror})",
            hint="a backup is a folder that `ci admin backup` made and finished",
        ) from error
    except msgspec.MsgspecError as error:
        raise damaged(folder, MANIFEST) from error
    if manifest.format > FORMAT:
        raise newer(folder, manifest)
    return manifest


def read_sums(folder: Path, manifest: Manifest) -> Iterator[Sum]:
    """Yield the files of a backup, as they are asked for.

    Raises:
        BackupUnusable: the list is not the one that the manifest speaks of.

    """
    path = folder / SUMS
    if not path.is_file() or digest(path) != manifest.sums_sha256:
        raise damaged(folder, SUMS)
    with path.open(encoding="ascii") as lines:
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                raise damaged(folder, SUMS)
            yield Sum(match["name"], match["sha256"])


def newer(folder: Path, manifest: Manifest) -> BackupUnusable:
    """Return the refusal of a backup that a later version made."""
    return BackupUnusable(
        f"{folder} was made by a newer version of Standby CI ({manifest.version})",
        hint="upgrade Standby CI, then restore it",
    )


def damaged(folder: Path, name: str) -> BackupUnusable:
    """Return the refusal of a backup with a file that is not as it was written."""
    return BackupUnusable(
        f"the backup {folder} is damaged: {name} is missing or not what was written",
        hint="restore an older backup; nothing was changed",
    )


def digest(path: Path) -> str:
    """Return the hex SHA-256 of a file. Raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> Copied | None:
    """Copy a file, as long as it is when it is opened, with its permissions; None if not there.

    Raises:
        OSError: any other fault; ``target`` may then be there in part.

    """
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
        status = os.fstat(fd)
        os.fchmod(writing.fileno(), stat.S_IMODE(status.st_mode))
        return _copy(reading, writing, status.st_size)


def _copy(reading: IO[bytes], writing: IO[bytes], size: int) -> Copied:
    sha256 = hashlib.sha256()
    done = 0
    while done < size and (data := reading.read(min(_CHUNK, size - done))):
        sha256.update(data)
        done += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[writing.write(rest) :]
    return Copied(done, sha256.hexdigest())
